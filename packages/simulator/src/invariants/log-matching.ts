/**
 * Log Matching (Raft thesis, figure 3.2): if two logs contain an entry with the same index and term, they are
 * identical in all entries up to that one. And no log has a gap.
 */
import { type Invariant, Rule } from './invariant.js';

export class LogMatching extends Rule implements Invariant {
  readonly name = 'log-matching';

  readonly sent = {
    'feed.append': () => this.onEntries(),
    'log-store.append': () => this.onEntries(),
  };

  onWritten(): void {
    this.onEntries();
  }

  private onEntries(): void {
    const { conflict } = this.record.tree;
    this.check(conflict === undefined, () => conflict ?? '');
  }
}
