/**
 * Configurations: the members of a group, each peer bound to the store that it had when it was added.
 */
import { z } from 'zod';
import { encodeBatch } from './batch.js';
import { decode, encode } from './codec.js';
import { ConclaveError } from './errors.js';
import { limits } from './limits.js';
import { formatIssues } from './schema-issues.js';
import { Count, GroupUid, type LogIndex, PeerId, StoreId, Term } from './types.js';

/** A peer of a configuration with the store that its votes and acknowledgements must come from. */
export const Member = z.object({ peer_id: PeerId, store_id: StoreId });
export type Member = z.infer<typeof Member>;

const Members = z.array(Member).max(limits.configurationPeers);

const Names = z.array(PeerId).max(limits.configurationPeers);

/**
 * `old_peers` empty: stable. Not empty: joint, and a quorum needs a majority of both. A peer whose store is replaced is in both
 * sets, each time with its store.
 */
export const Configuration = z.object({
  peers: Members.min(1),
  old_peers: Members,
  /** In the first entry of a group: the peers that its bootstrap listed. */
  founding_peers: Names.optional(),
  /** How many times `reset_peer` began a new history of the group; undefined: never. */
  epoch: Count.optional(),
  /**
   * The group's feature level from this entry on (`levels.ts`); undefined: 0. Each configuration copies the level of the one before
   * it, or raises it; no configuration lowers it.
   */
  level: Count.optional(),
  /**
   * The history of the entries after this one, and the number above which it counts its revisions, tokens and ids. The first leader of a
   * history sets it in its first entry (`flush`); later configurations of that history copy it.
   */
  history: z.object({ group_uid: GroupUid, base: Count }).optional(),
  /** In the first entry of a leader: a change whose leader was lost while new peers were catching up; nothing of it was done. */
  lost_change: z.object({ term: Term, old_peers: Names, new_peers: Names }).optional(),
});
export type Configuration = z.infer<typeof Configuration>;

/** A configuration and the entry that holds it. */
export interface ConfigurationEntry {
  readonly index: LogIndex;
  readonly configuration: Configuration;
}

/** The group's feature level from this configuration on. */
export function levelOf(configuration: Pick<Configuration, 'level'> | undefined): number {
  return configuration?.level ?? 0;
}

/** The batch of a configuration's entry. */
export function encodeConfigurationBatch(term: Term, first: LogIndex, configuration: Configuration): Uint8Array {
  return encodeBatch('configuration', term, first, [encodeConfiguration(configuration)], levelOf(configuration));
}

export function encodeConfiguration(configuration: Configuration): Uint8Array {
  return encode(configuration);
}

/** @throws ConclaveError ECORRUPT */
export function decodeConfiguration(payload: Uint8Array): Configuration {
  const parsed = Configuration.safeParse(decode(payload));
  if (!parsed.success)
    throw new ConclaveError('ECORRUPT', `not a configuration: ${formatIssues(parsed.error.issues, 'all of it')}`);
  return parsed.data;
}

/** As `decodeConfiguration`, of a possibly newer build; undefined: this build cannot read it. */
export function readConfiguration(payload: Uint8Array): Configuration | undefined {
  try {
    return decodeConfiguration(payload);
  } catch (error) {
    if (error instanceof ConclaveError) return undefined;
    throw error;
  }
}

/** @returns why this build does not support a configuration's entry; empty: it does */
export function configurationProblem(payload: Uint8Array): string {
  const read = readConfiguration(payload);
  if (read === undefined) return 'a configuration that this build cannot read';
  const unknown = unknownFields(decode(payload), read);
  return unknown.length === 0 ? '' : `a configuration with fields that this build does not know: ${unknown.join(', ')}`;
}

/** The paths of the fields of `value`, at any depth, that parsing has removed. */
function unknownFields(value: unknown, parsed: unknown): string[] {
  if (typeof value !== 'object' || value === null || typeof parsed !== 'object' || parsed === null) return [];
  const known = parsed as Record<string, unknown>;
  const paths = Object.entries(value).flatMap(([field, inner]) => {
    if (!(field in known)) return [field];
    const deeper = unknownFields(inner, known[field]);
    // All elements of a list have the same fields, so the path names the list once.
    return deeper.map((path) => (Array.isArray(value) ? path : `${field}.${path}`));
  });
  return [...new Set(paths)];
}

export function isJoint(configuration: Configuration): boolean {
  return configuration.old_peers.length > 0;
}

/** The members of both sets, each once. */
export function allMembers(configuration: Configuration): Member[] {
  const members = new Map<string, Member>();
  for (const member of [...configuration.peers, ...configuration.old_peers]) {
    members.set(`${member.peer_id} ${member.store_id}`, member);
  }
  return [...members.values()];
}

export function peerIds(members: readonly Member[]): PeerId[] {
  return members.map((member) => member.peer_id);
}

export function hasMember(members: readonly Member[], peerId: PeerId, storeId: StoreId): boolean {
  return members.some((member) => member.peer_id === peerId && member.store_id === storeId);
}

/** Whether this peer, with this store, is in the new or the old set of the configuration. */
export function isIn(configuration: Configuration, peerId: PeerId, storeId: StoreId): boolean {
  return hasMember(configuration.peers, peerId, storeId) || hasMember(configuration.old_peers, peerId, storeId);
}

/** How many of `count` peers are a majority. */
export function majority(count: number): number {
  return Math.floor(count / 2) + 1;
}

/** Whether `granted` holds for a majority of each set of the configuration (Raft thesis, section 4.3). */
export function hasQuorum(configuration: Configuration, granted: (member: Member) => boolean): boolean {
  const enough = (members: readonly Member[]): boolean =>
    members.length === 0 || members.filter(granted).length >= majority(members.length);
  return enough(configuration.peers) && enough(configuration.old_peers);
}

/** Whether two lists name the same peers, in any order. Each names a peer once. */
export function samePeers(a: readonly PeerId[], b: readonly PeerId[]): boolean {
  return a.length === b.length && a.every((peerId) => b.includes(peerId));
}
