/**
 * Detects a node that makes no progress: a leader's entries are not committed, or committed entries are not applied. It decides
 * nothing; the node's health reports it (promise 22).
 */

import type { NodeState } from '../state/index.js';
import type { StepContext } from '../step-context.js';

/** Election timeouts without progress after which a node is stuck. */
const stuckAfterTimeouts = 5;

export class StallDetector {
  private commitIndex = -1;
  private appliedIndex = -1;
  private commitMs = 0;
  private appliedMs = 0;

  constructor(
    private readonly context: StepContext,
    private readonly state: NodeState,
  ) {}

  onTick(): void {
    const { nowMs } = this.context;
    const { commitIndex, appliedIndex, role, log } = this.state;
    if (commitIndex !== this.commitIndex || role !== 'leader' || log.lastIndex === commitIndex) this.commitMs = nowMs;
    if (appliedIndex !== this.appliedIndex || appliedIndex === commitIndex) this.appliedMs = nowMs;
    this.commitIndex = commitIndex;
    this.appliedIndex = appliedIndex;
  }

  /** Returns what makes no progress; empty: nothing is stuck. */
  reason(lacking: { readonly peers: readonly string[]; readonly old_peers: readonly string[] }): string {
    const { nowMs, options } = this.context;
    const sinceMs = nowMs - stuckAfterTimeouts * options.electionTimeoutMs;
    const { commitIndex, appliedIndex, role, log } = this.state;
    const isApplied = appliedIndex === commitIndex || appliedIndex !== this.appliedIndex;
    if (!isApplied && this.appliedMs <= sinceMs) return `stuck: entry ${appliedIndex + 1} is not applied`;
    const isCommitted = role !== 'leader' || commitIndex === log.lastIndex || commitIndex !== this.commitIndex;
    if (isCommitted || this.commitMs > sinceMs) return '';
    const votes = [...new Set([...lacking.peers, ...lacking.old_peers])].join(' ');
    return `stuck: entry ${commitIndex + 1} is not committed${votes === '' ? '' : `, it lacks the votes of ${votes}`}`;
  }
}
