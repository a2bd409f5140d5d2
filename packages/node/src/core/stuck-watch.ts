/**
 * Notices that nothing moves though something should: entries of a leader that are not committed, or committed ones that
 * are not applied. It decides nothing; health tells of it (promise 22).
 */
import type { NodeContext } from './context.js';
import type { NodeState } from './state.js';

/** So many election timeouts without a step are too many. */
const patience = 5;

export class StuckWatch {
  private commitIndex = -1;
  private appliedIndex = -1;
  private commitMs = 0;
  private appliedMs = 0;

  constructor(
    private readonly context: NodeContext,
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

  /** What does not move, or empty. */
  reason(lacking: { readonly peers: readonly string[]; readonly old_peers: readonly string[] }): string {
    const { nowMs, options } = this.context;
    const sinceMs = nowMs - patience * options.electionTimeoutMs;
    const { commitIndex, appliedIndex, role, log } = this.state;
    const isApplied = appliedIndex === commitIndex || appliedIndex !== this.appliedIndex;
    if (!isApplied && this.appliedMs <= sinceMs) return `stuck: entry ${appliedIndex + 1} is not applied`;
    const isCommitted = role !== 'leader' || commitIndex === log.lastIndex || commitIndex !== this.commitIndex;
    if (isCommitted || this.commitMs > sinceMs) return '';
    const votes = [...new Set([...lacking.peers, ...lacking.old_peers])].join(' ');
    return `stuck: entry ${commitIndex + 1} is not committed${votes === '' ? '' : `, it lacks the votes of ${votes}`}`;
  }
}
