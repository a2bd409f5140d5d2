/**
 * The commands to the process of a peer's log-stores, for all processes of that peer: which groups the peer hosts, and the published
 * list of them. Requests are JSON or msgpack on `<prefix>.admin.<peer>.<command>`, the reply in the encoding of the request; the list is
 * JSON on `<prefix>.admin.<peer>.groups.<peer>`.
 */
import { z } from 'zod';
import { limits } from './limits.js';
import { ActorKind, Count, GroupId, GroupUid, Incarnation, LogIndex, PeerId, StoreId } from './types.js';

/** The token before the sender in the subject of the list. */
export const groupListToken = 'groups';

/** Generated when a group is created at a peer; empty for groups of its options. */
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
  /** The run of the process that publishes it. */
  incarnation: Incarnation,
  /** Grows with each change; durable. */
  version: Count,
  groups: z.array(HostedGroup).max(limits.hostedGroups),
});
export type GroupList = z.infer<typeof GroupList>;

/** The stored list: with the groups whose data are being deleted. */
export const StoredGroupList = z.object({ version: Count, groups: z.array(HostedGroup), leaving: z.array(GroupId) });
export type StoredGroupList = z.infer<typeof StoredGroupList>;

/** A group with the state of its log-store. */
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
  /** Writes that the groups requested since the process began, and the synced writes of the store that they took. */
  writes: z.object({ asked: Count, synced: Count }),
});
export type ListGroupsReply = z.infer<typeof ListGroupsReply>;

/** The part of a node's reply to NATS's `$SRV.INFO` that contains its group, its peer and the prefix. */
export const NodeServiceInfo = z.object({
  metadata: z.object({ group_id: GroupId, peer_id: PeerId }),
  endpoints: z.array(z.object({ subject: z.string() })),
});
export type NodeServiceInfo = z.infer<typeof NodeServiceInfo>;

/** The running actors of the group at the peer; those of its other processes as far as they reply. */
const actors = z.array(ActorKind);

export const hostCommands = {
  create_group: {
    purpose: 'makes the peer host a group, also after restarts; `bootstrap` then creates the group',
    request: z.strictObject({ group_id: GroupId }),
    /** `created`: by this call; false: it existed. */
    reply: z.object({ group_id: GroupId, hosting_id: HostingId, created: z.boolean(), actors }),
  },
  delete_group: {
    purpose:
      'stops the peer’s actors of a group and deletes its data; with `group_uid` only if that is the group’s history',
    request: z.strictObject({ group_id: GroupId, group_uid: GroupUid.optional() }),
    /** `deleted`: by this call; false: there was nothing. `actors`: those that could not be stopped in time. */
    reply: z.object({ group_id: GroupId, deleted: z.boolean(), actors }),
  },
  list_groups: {
    purpose: 'returns the groups that the peer hosts, and the state of their log-stores',
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
