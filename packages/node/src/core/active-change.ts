/** The change of the configuration that is going on, as the parts that carry it out share it. Plain data. */
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

/** A change that is asked for. */
export interface ChangeOrder {
  readonly requestId: number;
  readonly newPeers: readonly PeerId[];
  readonly timeoutMs: number;
  /** Makes the reply, where it is not the one of `change_peers`. */
  readonly replyOf?: (reply: ChangeReply) => unknown;
  /** What has become of the request where the change does not happen; else `not_done`. */
  readonly outcomeUndone?: Outcome;
}

export interface ActiveChange {
  /**
   * `flush`: a new leader confirms the configuration, or finishes what was going on. `raise`: the same peers with a higher
   * feature level.
   */
  readonly kind: 'flush' | 'change' | 'heal' | 'raise';
  /** What it is to who looks on: a flush may finish a heal. */
  readonly saysKind: ChangeKind;
  /** Whether it changes something: a flush of a stable configuration does not. */
  readonly changes: boolean;
  readonly replyOf: (reply: ChangeReply) => unknown;
  readonly old: readonly Member[];
  readonly newPeers: readonly PeerId[];
  readonly adding: readonly PeerId[];
  /** Of a heal: the member, with the store that is to take the place of the bound one. */
  readonly healing: Member | undefined;
  readonly outcomeUndone: Outcome;
  readonly sinceMs: number;
  stage: Exclude<Stage, 'none'>;
  /** The entry of the stage; undefined while catching up. */
  index: LogIndex | undefined;
  /** Why the old configuration is appended again. */
  undoing: ConclaveError | undefined;
  requestId: number | undefined;
  cancelRequests: number[];
}

const nobodyWaits = { requestId: undefined, cancelRequests: [], undoing: undefined, index: undefined } as const;

export function flushOf(configuration: Configuration, nowMs: number): ActiveChange {
  const joint = isJoint(configuration);
  return {
    ...nobodyWaits,
    kind: 'flush',
    saysKind: kindOf(configuration),
    changes: joint,
    replyOf: (reply) => reply,
    old: joint ? configuration.old_peers : configuration.peers,
    newPeers: peerIds(configuration.peers),
    adding: [],
    healing: undefined,
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
    saysKind: 'change',
    changes: true,
    replyOf: order.replyOf ?? ((reply) => reply),
    old,
    newPeers: order.newPeers,
    adding: order.newPeers.filter((peerId) => !oldPeers.includes(peerId)),
    healing: undefined,
    outcomeUndone: order.outcomeUndone ?? 'not_done',
    sinceMs: nowMs,
    stage: 'catching_up',
    requestId: order.requestId,
    cancelRequests: [],
  };
}

export function healOf(healing: Member, old: readonly Member[], nowMs: number): ActiveChange {
  return {
    ...nobodyWaits,
    kind: 'heal',
    saysKind: 'heal',
    changes: true,
    replyOf: (reply) => reply,
    old,
    newPeers: peerIds(old),
    adding: [healing.peer_id],
    healing,
    outcomeUndone: 'not_done',
    sinceMs: nowMs,
    stage: 'catching_up',
    cancelRequests: [],
  };
}

/** The stable configuration again, with a higher feature level. `requestId`: of who asked for it, if anybody did. */
export function raiseOf(
  peers: readonly Member[],
  nowMs: number,
  requestId: number | undefined,
  replyOf: () => unknown,
): ActiveChange {
  return {
    ...nobodyWaits,
    kind: 'raise',
    saysKind: 'change',
    changes: false,
    replyOf,
    old: peers,
    newPeers: peerIds(peers),
    adding: [],
    healing: undefined,
    outcomeUndone: 'not_done',
    sinceMs: nowMs,
    stage: 'stable',
    requestId,
    cancelRequests: [],
  };
}

/** Of a joint configuration: one that has the same peers on both sides replaces the store of one of them. */
export function kindOf({ peers, old_peers }: Configuration): ChangeKind {
  return samePeers(peerIds(peers), peerIds(old_peers)) ? 'heal' : 'change';
}

/** One of those whom it is for, with its store: the bound one, the healed one, or of a new peer the one that was found. */
export function memberFor({ old, healing }: ActiveChange, peerId: PeerId, progress: Progress | undefined): Member {
  if (healing?.peer_id === peerId) return healing;
  const bound = old.find(({ peer_id }) => peer_id === peerId);
  if (bound !== undefined) return bound;
  invariant(progress !== undefined && progress.store_id !== '', `the store of ${peerId} is known`);
  return { peer_id: peerId, store_id: progress.store_id };
}

/** The requests that wait for its end. */
export function waitingFor({ requestId, cancelRequests }: ActiveChange): number[] {
  return requestId === undefined ? cancelRequests : [requestId, ...cancelRequests];
}

/** As `status` tells of it. */
export function describe(active: ActiveChange, term: Term, state: Change['state'], error?: ErrorBody): Change {
  return {
    kind: active.saysKind,
    old_peers: peerIds(active.old),
    new_peers: [...active.newPeers],
    state,
    stage: active.stage,
    term,
    index: active.index ?? (0 as LogIndex),
    ...(error === undefined ? {} : { error }),
  };
}
