/**
 * What a node reports: `status`, its health, its summary for service discovery, and a leader's advice on restarts.
 *
 * Owns nothing.
 */
import type { StatusReply } from '@conclave/protocol';
import type { NonMember, RemovedPeer, StoreBinding } from '../follower/index.js';
import type { Quarantine, StateComparison } from '../integrity/index.js';
import type { LeaderState, OtherHistory } from '../leader/index.js';
import type { LocalActors } from '../local/index.js';
import type { ConfigurationChange } from '../membership/index.js';
import type { SnapshotReceiver, SnapshotRestore, SnapshotTaker } from '../snapshot/index.js';
import { type NodeState, sideFileLost } from '../state/index.js';
import type { StepContext } from '../step-context.js';
import type { StallDetector } from './stall-detector.js';
import {
  health,
  type NodeHealth,
  type NodeSummary,
  type RestartAdvice,
  restartAdvice,
  status,
  summary,
} from './status.js';

interface StatusParts {
  readonly binding: StoreBinding;
  readonly change: ConfigurationChange;
  readonly comparison: StateComparison;
  readonly install: SnapshotReceiver;
  readonly leadership: LeaderState;
  readonly otherHistory: OtherHistory;
  readonly nonMember: NonMember;
  readonly actors: LocalActors;
  readonly quarantine: Quarantine;
  readonly removal: RemovedPeer;
  readonly restore: SnapshotRestore;
  readonly snapshots: SnapshotTaker;
  readonly stalls: StallDetector;
}

export class NodeStatus {
  constructor(
    private readonly context: StepContext,
    private readonly state: NodeState,
    private readonly parts: StatusParts,
  ) {}

  /** Returns the reply to `status`. */
  reply(): StatusReply {
    const { context, state, parts } = this;
    return status(context, state, parts.actors, parts.leadership, parts.change, this.health(), {
      ...parts.snapshots.status(),
      restoring: parts.restore.status(),
      installing: parts.install.status(),
      other_history: parts.otherHistory.seen,
      leader_id: parts.nonMember.leaderId,
      ...parts.comparison.status(),
    });
  }

  /** Returns whether this node does its work; if not, why. */
  health(): NodeHealth {
    const { state, parts } = this;
    const { actors, removal, binding, restore, leadership, quarantine, otherHistory, stalls } = parts;
    const stuck = otherHistory.reason ?? stalls.reason(leadership.missingVotes);
    const found = health(
      state,
      actors,
      removal.isRemoved,
      stuck,
      binding.refusal,
      restore.isInProgress,
      quarantine.reason,
    );
    const hasNoRemark = found.healthy && found.reason === '';
    if (hasNoRemark && state.wasUnverified && !state.isUnverified) {
      return { healthy: true, reason: `${sideFileLost}; the log was verified since` };
    }
    return hasNoRemark && state.role === 'leader' ? { healthy: true, reason: leadership.timeoutRemark } : found;
  }

  /** Returns a leader's advice on restarts, with the configuration that it is for; undefined: this node does not lead. */
  restartAdvice(): RestartAdvice | undefined {
    const { context, state, parts } = this;
    if (state.role !== 'leader') return undefined;
    return restartAdvice(context, state, parts.actors, parts.leadership, parts.change);
  }

  summary(): NodeSummary {
    return summary(this.state, this.context.options, this.parts.nonMember.leaderId);
  }
}
