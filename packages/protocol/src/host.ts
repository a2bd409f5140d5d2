/**
 * What a process that hosts a peer's log-stores answers for all of that peer's processes: which groups the peer takes
 * part in, and that list as it is published. Requests are JSON or msgpack on `<prefix>.admin.<peer>.<command>`, the
 * reply in kind; the list is JSON on `<prefix>.admin.<peer>.groups.<peer>`.
 */
import { z } from 'zod';
import { limits } from './limits.js';
import { ActorKind, Count, GroupId, GroupUid, Incarnation, LogIndex, PeerId, StoreId } from './types.js';

/** The token before the sender in the subject on which the list is published. */
export const groupListToken = 'groups';

/** Drawn when a group is created at a peer; empty for those that its options name. */
const HostingId = z.string().max(limits.idBytes);

/** A group that a peer hosts. */
export const HostedGroup = z.object({ group_id: GroupId, hosting_id: HostingId });
export type HostedGroup = z.infer<typeof HostedGroup>;

/**
 * The groups that a peer hosts, published at each change and every second: its other processes follow it, so that a lost
 * message costs a second.
 */
export const GroupList = z.object({
  peer_id: PeerId,
  /** Which run of the process says so. */
  incarnation: Incarnation,
  /** Grows with each change; durable. */
  version: Count,
  groups: z.array(HostedGroup).max(limits.hostedGroups),
});
export type GroupList = z.infer<typeof GroupList>;

/** The same as it is kept: with the groups whose data are being removed. */
export const StoredGroupList = z.object({ version: Count, groups: z.array(HostedGroup), leaving: z.array(GroupId) });
export type StoredGroupList = z.infer<typeof StoredGroupList>;

/** A group with what its log-store holds. */
export const StoredGroup = HostedGroup.extend({
  /** Whether the process's options name it, so that it cannot be deleted. */
  fixed: z.boolean(),
  /** Empty: no node has opened it yet. */
  store_id: StoreId,
  /** Empty: it is in no group's history yet. */
  group_uid: GroupUid,
  last_index: LogIndex,
});
export type StoredGroup = z.infer<typeof StoredGroup>;

export const ListGroupsReply = z.object({
  peer_id: PeerId,
  incarnation: Incarnation,
  version: Count,
  groups: z.array(StoredGroup),
  /** Writes that the groups asked for since the process began, and how many synced writes of the store they took. */
  writes: z.object({ asked: Count, synced: Count }),
});
export type ListGroupsReply = z.infer<typeof ListGroupsReply>;

/** What a node answers to NATS's `$SRV.INFO`, as far as it is needed to know which group and peer it is, and under which prefix. */
export const NodeServiceInfo = z.object({
  metadata: z.object({ group_id: GroupId, peer_id: PeerId }),
  endpoints: z.array(z.object({ subject: z.string() })),
});
export type NodeServiceInfo = z.infer<typeof NodeServiceInfo>;

/** The peer's actors of the group that run, of its other processes as far as they answer. */
const actors = z.array(ActorKind);

export const hostCommands = {
  create_group: {
    purpose: 'has the peer host a group, for good; the group is founded by `bootstrap` afterwards',
    request: z.strictObject({ group_id: GroupId }),
    /** `created`: by this call; false: it was there. */
    reply: z.object({ group_id: GroupId, hosting_id: HostingId, created: z.boolean(), actors }),
  },
  delete_group: {
    purpose:
      'has the peer stop its actors of a group and remove its data; with `group_uid` only where that is the group’s history',
    request: z.strictObject({ group_id: GroupId, group_uid: GroupUid.optional() }),
    /** `deleted`: by this call; false: there was nothing. `actors`: those that could not be stopped in time. */
    reply: z.object({ group_id: GroupId, deleted: z.boolean(), actors }),
  },
  list_groups: {
    purpose: 'the groups that the peer hosts, and what its log-stores hold of them',
    request: z.strictObject({}),
    reply: ListGroupsReply,
  },
} as const;

export type HostCommands = typeof hostCommands;
export type HostCommand = keyof HostCommands;
export type HostRequest<C extends HostCommand> = z.infer<HostCommands[C]['request']>;
export type HostReply<C extends HostCommand> = z.infer<HostCommands[C]['reply']>;

export function isHostCommand(name: string): name is HostCommand {
  return Object.hasOwn(hostCommands, name);
}
