/**
 * The roles: which login may publish and which may receive what, as lists of subjects that NATS enforces (DESIGN, section 8). They are
 * made by the builders that Conclave's own programs use, so that the two cannot differ.
 *
 * | role | what it is for |
 * |---|---|
 * | `peer` | the processes of one peer: publishes in that peer's name alone |
 * | `operator` | all admin commands, groups, backups, events and messages; no keys |
 * | `client` | all operations on keys, leases and locks |
 * | `reader` | reads and watches keys, and metrics; writes nothing |
 * | `observer` | events, status, health and metrics |
 */
import { hostCommands } from './host.js';
import { peerOperations, readOperations } from './kv.js';
import { processCommands } from './process-commands.js';
import { discoverySubject, type Recipient, Subjects, serviceSubjects, serviceVerbs } from './subjects.js';
import type { ActorKind, GroupId, PeerId } from './types.js';

export const userRoles = ['peer', 'operator', 'client', 'reader', 'observer'] as const;
export type UserRole = (typeof userRoles)[number];

/** For whom permissions are made. */
export interface RoleScope {
  readonly prefix: string;
  /** The groups that the role is for; empty: all. */
  readonly groups: readonly GroupId[];
  /** Of the role `peer`: which one. */
  readonly peer?: PeerId | undefined;
  /** The first tokens of the subjects on which it receives replies. */
  readonly inboxPrefix: string;
  /** Of the role `peer`: below which subjects it publishes replies. */
  readonly replyPrefixes: readonly string[];
  /** The name that its watches have, of the roles `client` and `reader`; undefined: any. */
  readonly owner?: string | undefined;
}

/** Subjects; wildcards are NATS's. All others are not allowed. */
export interface Permissions {
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
}

const any = '*';
const anyPeer = any as PeerId;
const anyActor = any as ActorKind;
const anyRecipient = any as Recipient;

/** The inbox prefix of a role unless another is chosen: each user has its own, so that none receives another's replies. */
export function inboxPrefixOfRole(role: UserRole, peer?: PeerId): string {
  return role === 'peer' ? `_INBOX.${role}.${peer}` : `_INBOX.${role}`;
}

/** The subjects that a role needs, and no others. */
export function permissionsOf(role: UserRole, scope: RoleScope): Permissions {
  const subjects = new Subjects(scope.prefix);
  const groups = scope.groups.length === 0 ? [any as GroupId] : scope.groups;
  const { publish, subscribe } = listsOf(role, subjects, groups, scope);
  return { publish: [...new Set(publish)], subscribe: [...new Set([...subscribe, `${scope.inboxPrefix}.>`])] };
}

function listsOf(role: UserRole, subjects: Subjects, groups: readonly GroupId[], scope: RoleScope): Permissions {
  switch (role) {
    case 'peer':
      return ofPeer(subjects, groups, scope.peer ?? anyPeer, scope.replyPrefixes);
    case 'operator':
      return ofOperator(subjects, groups);
    case 'client':
      return ofClient(subjects, groups, { ofGroup: [any], ofPeer: [any] }, scope.owner, false);
    case 'reader':
      return ofClient(subjects, groups, reads, scope.owner, true);
    case 'observer':
      return ofObserver(subjects, groups);
  }
}

function ofPeer(
  subjects: Subjects,
  groups: readonly GroupId[],
  peer: PeerId,
  replyPrefixes: readonly string[],
): Permissions {
  const lists = subjects.groupLists();
  return {
    publish: [
      ...groups.flatMap((groupId) => [
        subjects.message({ groupId, peerId: anyPeer, recipient: anyRecipient }, any, peer),
        subjects.event(groupId, any, peer),
        subjects.historyAnnouncement(groupId, peer),
        subjects.watch(groupId, '>'),
        // A founder of a group asks whether there is one; a follower that misses heartbeats, whether a peer leads.
        subjects.groupRequest(groupId, 'admin', 'status'),
        // Of its own actors.
        subjects.health({ groupId, peerId: peer, recipient: anyActor }),
      ]),
      subjects.bundle(anyPeer, anyRecipient, peer),
      subjects.groupList(peer),
      subjects.host(anyPeer, 'list_groups'),
      discoverySubject,
      ...replyPrefixes.map((prefix) => `${prefix}.>`),
    ],
    subscribe: [
      ...groups.flatMap((groupId) => [
        // To its actors and its feed, in either form; requests to it.
        subjects.toPeer(groupId, peer),
        subjects.message({ groupId, peerId: anyPeer, recipient: 'feed' }, 'append', any),
        subjects.groupRequest(groupId, 'admin', any),
        subjects.groupRequest(groupId, 'kv', any),
        subjects.historyAnnouncement(groupId, any),
      ]),
      subjects.toHost(peer),
      lists,
      subjects.ofFirstVersion(lists),
      ...serviceVerbs.flatMap((verb) => serviceSubjects(verb, any)),
    ],
  };
}

function ofOperator(subjects: Subjects, groups: readonly GroupId[]): Permissions {
  const observer = ofObserver(subjects, groups);
  const hostNames = Object.keys(hostCommands);
  return {
    publish: [
      ...groups.flatMap((groupId) => [
        subjects.groupRequest(groupId, 'admin', any),
        subjects.peerRequest(groupId, anyPeer, 'admin', any),
        subjects.health({ groupId, peerId: anyPeer, recipient: anyActor }),
        subjects.metrics({ groupId, peerId: anyPeer, recipient: anyActor }),
      ]),
      ...hostNames.map((name) => subjects.host(anyPeer, name)),
      ...Object.keys(processCommands).map((name) => subjects.process(anyPeer, anyActor, name)),
      ...discovery,
    ],
    subscribe: [
      ...observer.subscribe,
      ...groups.map((groupId) => subjects.groupMessages(groupId)),
      // They hold messages of all groups.
      subjects.bundles(),
    ],
  };
}

function ofClient(
  subjects: Subjects,
  groups: readonly GroupId[],
  operations: { readonly ofGroup: readonly string[]; readonly ofPeer: readonly string[] },
  owner: string | undefined,
  asksMetrics: boolean,
): Permissions {
  return {
    publish: groups.flatMap((groupId) => [
      ...operations.ofGroup.map((operation) => subjects.groupRequest(groupId, 'kv', operation)),
      ...operations.ofPeer.map((operation) => subjects.peerRequest(groupId, anyPeer, 'kv', operation)),
      // Of a peer that is asked by name: whether it is there.
      subjects.health({ groupId, peerId: anyPeer, recipient: 'node' }),
      ...(asksMetrics ? [subjects.metrics({ groupId, peerId: anyPeer, recipient: anyActor })] : []),
    ]),
    subscribe: groups.flatMap((groupId) => [
      subjects.watch(groupId, `${owner ?? any}.*`),
      // Of clients of the first version, whose watches name no owner.
      ...(owner === undefined ? [subjects.watch(groupId, any)] : []),
      subjects.event(groupId, 'leader_elected', any),
    ]),
  };
}

function ofObserver(subjects: Subjects, groups: readonly GroupId[]): Permissions {
  const lists = subjects.groupLists();
  return {
    publish: [
      ...groups.flatMap((groupId) => [
        subjects.groupRequest(groupId, 'admin', 'status'),
        subjects.peerRequest(groupId, anyPeer, 'admin', 'status'),
        subjects.peerRequest(groupId, anyPeer, 'admin', 'get_leader'),
        subjects.health({ groupId, peerId: anyPeer, recipient: anyActor }),
        subjects.metrics({ groupId, peerId: anyPeer, recipient: anyActor }),
      ]),
      subjects.host(anyPeer, 'list_groups'),
      ...discovery,
    ],
    subscribe: [
      // With and without the sender.
      ...groups.flatMap((groupId) => [subjects.events(groupId), subjects.ofFirstVersion(subjects.events(groupId))]),
      lists,
      subjects.ofFirstVersion(lists),
    ],
  };
}

const reads = { ofGroup: readOperations, ofPeer: peerOperations };

/** Of NATS's service discovery what asks Conclave's services, not all that there are. */
const discovery = serviceVerbs.flatMap((verb) => serviceSubjects(verb, any).slice(1));
