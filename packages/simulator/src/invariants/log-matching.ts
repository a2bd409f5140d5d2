/**
 * Where two logs have an entry of the same index and term, it is the same, and so is all before it (Raft thesis, figure
 * 3.2: log matching); and no log has a gap.
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
