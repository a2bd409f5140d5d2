/**
 * Decides when a leader heals a member that has lost its store: the configuration binds the member's name to a store that
 * is gone, and under that name another one answers. That one is caught up like a new peer, and takes the place of the
 * lost one by a change of its own, through a joint configuration (docs/decisions/0038).
 *
 * Owns which members are to be healed, and when each is tried again. Does not own the change.
 *
 * Invariants:
 * 1. Only a store that is empty, or holds this history, and that is no other member's, takes the place of a lost one.
 * 2. Only a store that has been silent for two election timeouts counts as lost.
 * 3. A heal begins only where nothing else goes on, at a leader that its quorum has lately confirmed and that takes entries.
 */
import { type ConclaveError, isJoint, type Member, type PeerId } from '@conclave/protocol';
import type { ConfigurationChange } from './configuration-change.js';
import type { NodeContext } from './context.js';
import type { Leadership } from './leadership.js';
import type { NodeState } from './state.js';

/** Election timeouts of silence after which a bound store counts as lost. */
const lostAfterTimeouts = 2;

export class Healing {
  /** When each member may be tried next. */
  private readonly notBeforeMs = new Map<PeerId, number>();

  constructor(
    private readonly context: NodeContext,
    private readonly state: NodeState,
    private readonly leadership: Leadership,
    private readonly change: ConfigurationChange,
  ) {}

  /** The replicators have reported: perhaps there is somebody to heal. */
  onProgress(): void {
    const { change, leadership } = this;
    if (change.isBusy || !change.isFlushed || !leadership.isConfirmed() || this.state.readOnlyReason !== '') return;
    const next = this.curable().sort((a, b) => this.notBefore(a) - this.notBefore(b))[0];
    if (next === undefined || this.notBefore(next) > this.context.nowMs) return;
    this.context.log('info', 'heals a member that has lost its store', next);
    change.heal(next);
  }

  /** Members with the stores that are to take the place of their lost ones. */
  private curable(): Member[] {
    const configuration = this.state.log.configuration?.configuration;
    if (configuration === undefined || isJoint(configuration)) return [];
    const { peers } = configuration;
    const leastMs = lostAfterTimeouts * this.context.options.electionTimeoutMs;
    return peers.flatMap(({ peer_id }) => {
      const progress = this.leadership.progress(peer_id);
      if (progress?.refusal !== 'ESTORE' || progress.found === undefined) return [];
      const { store_id, bound_silent_ms } = progress.found;
      const isOthers = peers.some((other) => other.store_id === store_id);
      return isOthers || bound_silent_ms < leastMs ? [] : [{ peer_id, store_id }];
    });
  }

  private notBefore({ peer_id }: Member): number {
    return this.notBeforeMs.get(peer_id) ?? Number.NEGATIVE_INFINITY;
  }

  /** It has come to nothing; whoever has called it off means it for a while. */
  onFailed(peerId: PeerId, reason: ConclaveError): void {
    const { options, nowMs } = this.context;
    const pauseMs = lostAfterTimeouts * options.electionTimeoutMs;
    this.notBeforeMs.set(peerId, nowMs + pauseMs);
    this.context.log('info', 'a heal has come to nothing', { peer: peerId, reason: reason.message });
  }
}
