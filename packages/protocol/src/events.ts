/** The events for observers, published as JSON on `<prefix>.<group>.event.<event>.<from>`. */
import { z } from 'zod';
import { ChangeKind, ReadOnlyReason, Stage } from './admin.js';
import { ErrorBody } from './errors.js';
import { Key, Token } from './kv.js';
import { PublicLeaseId } from './lease-id.js';
import { limits } from './limits.js';
import { Count, GroupId, GroupUid, LogIndex, PeerId, StateDigest, StoreId, Term } from './types.js';

const every = {
  group_id: GroupId,
  /** The peer that publishes it. */
  peer_id: PeerId,
  term: Term,
  /** Wall-clock time, ISO 8601. */
  time: z.string(),
};

/**
 * The sender of a request. `nats`: the user, from the header `Nats-Request-Info`, which NATS sets if a service is imported from another
 * account. `named`: the sender itself, in the header `Conclave-Caller`. Only the first is reliable, and only with such an import.
 */
export const Caller = z.object({
  name: z.string().max(limits.callerBytes),
  source: z.enum(['nats', 'named', 'unknown']),
});
export type Caller = z.infer<typeof Caller>;

/** The header in which a sender of admin commands names itself. */
export const callerHeader = 'Conclave-Caller';

/** The header of a probe whether a process serves a group's subjects: its receiver drops it. */
export const probeHeader = 'Conclave-Probe';

const sets = { peers: z.array(PeerId), old_peers: z.array(PeerId) };

function event<S extends z.ZodType>(purpose: string, schema: S) {
  return { purpose, schema };
}

export const events = {
  leader_elected: event('this peer leads', z.object({ ...every, ...sets })),
  leader_stepped_down: event('this peer led and no longer does', z.object({ ...every, reason: z.string() })),
  stage_changed: event(
    'a membership change has reached a stage',
    z.object({ ...every, kind: ChangeKind, stage: Stage, old_peers: z.array(PeerId), new_peers: z.array(PeerId) }),
  ),
  catchup_progress: event(
    'how far a new peer is',
    z.object({
      ...every,
      new_peer: PeerId,
      state: z.enum(['never_heard_of', 'lagging', 'installing', 'caught_up', 'refused']),
      match_index: LogIndex,
      last_index: LogIndex,
      lag: Count,
      /** The percentage of the snapshot that is stored, or of the log; 100 once caught up. */
      percent: z.number().int().min(0).max(100),
    }),
  ),
  configuration_appended: event(
    'a configuration takes effect at this peer',
    z.object({ ...every, ...sets, index: LogIndex }),
  ),
  configuration_truncated: event(
    'a configuration was truncated from this peer’s log; this one is in effect again',
    z.object({ ...every, ...sets, index: LogIndex }),
  ),
  configuration_committed: event('a configuration is committed', z.object({ ...every, ...sets, index: LogIndex })),
  change_failed: event(
    'a change failed, and the old configuration stays in effect',
    z.object({
      ...every,
      kind: ChangeKind,
      old_peers: z.array(PeerId),
      new_peers: z.array(PeerId),
      error: ErrorBody,
    }),
  ),
  peer_unreachable: event(
    'a peer has not replied to its replicator for an election timeout',
    z.object({ ...every, unreachable_peer: PeerId, silent_ms: z.number().int() }),
  ),
  peer_refused: event(
    'a peer has another store than the one in the configuration or an older copy of it, or holds another history',
    z.object({ ...every, refused_peer: PeerId, reason: z.string() }),
  ),
  peer_removed: event('this peer has been removed from the group', z.object({ ...every, index: LogIndex })),
  store_refused: event(
    'this peer has another store than the one in the configuration: it neither votes nor counts',
    z.object({ ...every, store_id: StoreId, bound_store_id: StoreId, leader_id: PeerId }),
  ),
  peer_reset: event(
    'an operator made this peer continue without the others, in a new history; what may be lost by that',
    z.object({
      ...every,
      old_group_uid: GroupUid,
      group_uid: GroupUid,
      epoch: Count,
      old_peers: z.array(PeerId),
      new_peers: z.array(PeerId),
      last_index: LogIndex,
      commit_index: LogIndex,
      may_be_lost: z.string(),
    }),
  ),
  other_history_seen: event(
    'another history under this group’s name has a leader: this leader serves no requests until that one has been silent for a while',
    z.object({ ...every, group_uid: GroupUid, other_group_uid: GroupUid, other_leader_id: PeerId }),
  ),
  peer_fenced: event('another node has opened this peer’s log-store', z.object({ ...every, session: Count })),
  read_only_changed: event(
    'this peer is read-only from now on, for this reason; empty: it no longer is',
    z.object({ ...every, reason: ReadOnlyReason }),
  ),
  snapshot_taken: event(
    'this peer has taken a snapshot of its state',
    z.object({
      ...every,
      index: LogIndex,
      chunks: Count,
      bytes: Count,
      /** Entries up to here are compacted. */
      compacted_to: LogIndex,
      took_ms: z.number().int(),
    }),
  ),
  snapshot_installed: event(
    'this peer has installed a snapshot of its leader, and continues from there',
    z.object({ ...every, leader_id: PeerId, index: LogIndex, chunks: Count, bytes: Count }),
  ),
  applying_stopped: event(
    'this peer cannot read an entry, and applies nothing from there on: it acknowledges entries, and does not lead',
    z.object({ ...every, index: LogIndex, reason: z.string() }),
  ),
  level_raised: event(
    'the group’s feature level is higher from this entry on: builds that do not support it cannot be used any more',
    z.object({ ...every, level: Count, index: LogIndex }),
  ),
  lock_forced: event(
    'a lock was taken from its holder by force, without the id of its lease',
    z.object({ ...every, name: Key, token: Token }),
  ),
  lease_forced: event(
    'a lease was ended by force, without its secret',
    z.object({ ...every, lease_id: PublicLeaseId }),
  ),
  state_diverged: event(
    'this peer’s state differs from the majority’s, or (`majority_digest` empty) the members’ states differ and no majority agrees',
    z.object({ ...every, index: LogIndex, majority_digest: StateDigest }),
  ),
  state_repaired: event(
    'this peer’s state, which differed, is the majority’s again',
    z.object({ ...every, index: LogIndex, repairs: Count }),
  ),
  admin_command: event(
    'this peer has executed an admin command that changes something, or a command to its host',
    z.object({
      ...every,
      command: z.string(),
      outcome: z.enum(['done', 'not_done', 'unknown']),
      /** The code of the error; empty: done. */
      code: z.string(),
      caller: Caller,
    }),
  ),
  actor_silent: event('one of this peer’s own actors is silent', z.object({ ...every, actor: z.string() })),
} as const;

export type Events = typeof events;
export type EventName = keyof Events;
export type EventBody<E extends EventName> = z.infer<Events[E]['schema']>;
/** The part of an event that a core reports; the shell adds group, peer, term and time. */
export type EventDetail<E extends EventName> = Omit<EventBody<E>, 'group_id' | 'peer_id' | 'term' | 'time'>;
/** An event with its name: a discriminated union over all of them. */
export type ConclaveEvent<E extends EventName = EventName> = {
  [N in E]: { readonly name: N; readonly detail: EventDetail<N> };
}[E];

/** Returns what the event `admin_command` reports of a command that was answered. @param error undefined: it was done */
export function commandOutcome(
  command: string,
  caller: Caller,
  error: Pick<ErrorBody, 'code' | 'outcome'> | undefined,
): EventDetail<'admin_command'> {
  return { command, outcome: error?.outcome ?? 'done', code: error?.code ?? '', caller };
}
