/** The running change of the configuration, as the parts that carry it out share it. Plain data. */
import {
  type Change,
  type ChangeKind,
  type ChangeReply,
  type ConclaveError,
  type Configuration,
  type ErrorBody,
  invariant,
  isJoint,
  type LogIndex,
  type Member,
  type Outcome,
  type PeerId,
  type Progress,
  peerIds,
  type Stage,
  samePeers,
  type Term,
} from '@conclave/protocol';

/** A change that was requested. */
export interface ChangeOrder {
  readonly requestId: number;
  readonly newPeers: readonly PeerId[];
  readonly timeoutMs: number;
  /** Makes the reply, if it is not that of `change_peers`. */
  readonly replyOf?: (reply: ChangeReply) => unknown;
  /** The outcome of the request if the change does not happen; the default is `not_done`. */
  readonly outcomeUndone?: Outcome;
}

export interface ActiveChange {
  /**
   * `flush`: a new leader confirms the configuration, or finishes the running change. `heal`: a store replaces a lost one.
   * `raise`: the same peers with a higher feature level.
   */
  readonly kind: 'flush' | 'change' | 'heal' | 'raise';
  /** What observers see: a flush may finish the replacement of a store. */
  readonly reportedKind: ChangeKind;
  /** Whether members or their stores change; false: a flush of a stable configuration, or a raise of the feature level. */
  readonly changesMembers: boolean;
  readonly replyOf: (reply: ChangeReply) => unknown;
  readonly old: readonly Member[];
  readonly newPeers: readonly PeerId[];
  readonly adding: readonly PeerId[];
  /** Of a replacement: the member, with the store that replaces the bound one. */
  readonly replacing: Member | undefined;
  readonly outcomeUndone: Outcome;
  readonly sinceMs: number;
  stage: Exclude<Stage, 'none'>;
  /** The entry of the stage; undefined while catching up. */
  index: LogIndex | undefined;
  /** Set if the change is rolled back: why. */
  rollbackReason: ConclaveError | undefined;
  requestId: number | undefined;
  cancelRequests: number[];
}

const nobodyWaits = { requestId: undefined, cancelRequests: [], rollbackReason: undefined, index: undefined } as const;

export function flushOf(configuration: Configuration, nowMs: number): ActiveChange {
  const joint = isJoint(configuration);
  return {
    ...nobodyWaits,
    kind: 'flush',
    reportedKind: kindOf(configuration),
    changesMembers: joint,
    replyOf: (reply) => reply,
    old: joint ? configuration.old_peers : configuration.peers,
    newPeers: peerIds(configuration.peers),
    adding: [],
    replacing: undefined,
    outcomeUndone: 'not_done',
    sinceMs: nowMs,
    stage: joint ? 'joint' : 'stable',
    cancelRequests: [],
  };
}

export function changeOf(order: ChangeOrder, old: readonly Member[], nowMs: number): ActiveChange {
  const oldPeers = peerIds(old);
  return {
    ...nobodyWaits,
    kind: 'change',
    reportedKind: 'change',
    changesMembers: true,
    replyOf: order.replyOf ?? ((reply) => reply),
    old,
    newPeers: order.newPeers,
    adding: order.newPeers.filter((peerId) => !oldPeers.includes(peerId)),
    replacing: undefined,
    outcomeUndone: order.outcomeUndone ?? 'not_done',
    sinceMs: nowMs,
    stage: 'catching_up',
    requestId: order.requestId,
    cancelRequests: [],
  };
}

export function replacementOf(replacing: Member, old: readonly Member[], nowMs: number): ActiveChange {
  return {
    ...nobodyWaits,
    kind: 'heal',
    reportedKind: 'heal',
    changesMembers: true,
    replyOf: (reply) => reply,
    old,
    newPeers: peerIds(old),
    adding: [replacing.peer_id],
    replacing,
    outcomeUndone: 'not_done',
    sinceMs: nowMs,
    stage: 'catching_up',
    cancelRequests: [],
  };
}

/**
 * Returns a change to the same stable configuration with a higher feature level. `requestId`: the request for it, if there is
 * one.
 */
export function raiseOf(
  peers: readonly Member[],
  nowMs: number,
  requestId: number | undefined,
  replyOf: () => unknown,
): ActiveChange {
  return {
    ...nobodyWaits,
    kind: 'raise',
    reportedKind: 'change',
    changesMembers: false,
    replyOf,
    old: peers,
    newPeers: peerIds(peers),
    adding: [],
    replacing: undefined,
    outcomeUndone: 'not_done',
    sinceMs: nowMs,
    stage: 'stable',
    requestId,
    cancelRequests: [],
  };
}

/** Returns what a joint configuration changes: with the same peers on both sides it replaces the store of one of them. */
export function kindOf({ peers, old_peers }: Configuration): ChangeKind {
  return samePeers(peerIds(peers), peerIds(old_peers)) ? 'heal' : 'change';
}

/** Returns one of the new peers with its store: the bound one, the one that replaces it, or that of a new peer. */
export function memberFor({ old, replacing }: ActiveChange, peerId: PeerId, progress: Progress | undefined): Member {
  if (replacing?.peer_id === peerId) return replacing;
  const bound = old.find(({ peer_id }) => peer_id === peerId);
  if (bound !== undefined) return bound;
  invariant(progress !== undefined && progress.store_id !== '', `the store of ${peerId} is known`);
  return { peer_id: peerId, store_id: progress.store_id };
}

/** Returns why a change cannot be cancelled that is in the stage `stable`, or that an earlier leader began. */
export function reasonAgainstCancel({ stage, rollbackReason }: ActiveChange): string {
  if (rollbackReason !== undefined) return 'the change is being rolled back already';
  if (stage === 'joint') return 'an earlier leader began the change, and this leader completes it';
  return 'it is too late: the new configuration may be in effect already';
}

/** Returns the requests that wait for its end. */
export function waitingFor({ requestId, cancelRequests }: ActiveChange): number[] {
  return requestId === undefined ? cancelRequests : [requestId, ...cancelRequests];
}

/** Returns the change as `status` reports it. */
export function describe(active: ActiveChange, term: Term, state: Change['state'], error?: ErrorBody): Change {
  return {
    kind: active.reportedKind,
    old_peers: peerIds(active.old),
    new_peers: [...active.newPeers],
    state,
    stage: active.stage,
    term,
    index: active.index ?? (0 as LogIndex),
    ...(error === undefined ? {} : { error }),
  };
}
