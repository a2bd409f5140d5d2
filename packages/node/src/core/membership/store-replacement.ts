/**
 * Decides when a leader replaces a member's lost store: the configuration binds the member's name to a store that does not
 * respond, and another store responds under that name. The other one catches up like a new peer, and replaces the lost one by a
 * change of its own, through a joint configuration (docs/decisions/0038).
 * Owns: which members need it, and when each is tried again. Does not own the change.
 * Invariants:
 * 1. Only a store that is empty, or holds this history, and that is no other member's, replaces a lost one.
 * 2. Only a store that has been silent for two election timeouts is considered lost.
 * 3. A replacement begins only while no change is running, at a leader that its quorum has lately confirmed and that is not
 *    read-only.
 */
import { type ConclaveError, isJoint, type Member, type PeerId } from '@conclave/protocol';
import type { LeaderState } from '../leader/index.js';
import type { NodeState } from '../state/index.js';
import type { StepContext } from '../step-context.js';
import type { ConfigurationChange } from './configuration-change.js';

/** Election timeouts of silence after which a bound store is considered lost. */
const lostAfterTimeouts = 2;

export class StoreReplacement {
  /** When each member may be tried next. */
  private readonly notBeforeMs = new Map<PeerId, number>();

  constructor(
    private readonly context: StepContext,
    private readonly state: NodeState,
    private readonly leadership: LeaderState,
    private readonly change: ConfigurationChange,
  ) {}

  /** The replicators have reported: perhaps a store can be replaced. */
  onProgress(): void {
    const { change, leadership } = this;
    if (
      change.isBusy ||
      !leadership.committedOwnTerm ||
      !leadership.confirmation.isConfirmed() ||
      this.state.readOnlyReason !== ''
    )
      return;
    const next = this.replaceable().sort((a, b) => this.notBefore(a) - this.notBefore(b))[0];
    if (next === undefined || this.notBefore(next) > this.context.nowMs) return;
    this.context.log('info', 'replaces the lost store of a member', next);
    change.replaceStore(next);
  }

  /** Returns the members with a lost store, each with the store that replaces it. */
  private replaceable(): Member[] {
    const configuration = this.state.log.configuration?.configuration;
    if (configuration === undefined || isJoint(configuration)) return [];
    const { peers } = configuration;
    const minMs = lostAfterTimeouts * this.context.options.electionTimeoutMs;
    return peers.flatMap(({ peer_id }) => {
      const progress = this.leadership.progress(peer_id);
      if (progress?.refusal !== 'ESTORE' || progress.found === undefined) return [];
      const { store_id, bound_silent_ms } = progress.found;
      const isOthers = peers.some((other) => other.store_id === store_id);
      return isOthers || bound_silent_ms < minMs ? [] : [{ peer_id, store_id }];
    });
  }

  private notBefore({ peer_id }: Member): number {
    return this.notBeforeMs.get(peer_id) ?? Number.NEGATIVE_INFINITY;
  }

  /** The replacement has failed; if an operator cancelled it, it must not begin again at once. */
  onFailed(peerId: PeerId, reason: ConclaveError): void {
    const { options, nowMs } = this.context;
    const pauseMs = lostAfterTimeouts * options.electionTimeoutMs;
    this.notBeforeMs.set(peerId, nowMs + pauseMs);
    this.context.log('info', 'the replacement of a store has failed', { peer: peerId, reason: reason.message });
  }
}
