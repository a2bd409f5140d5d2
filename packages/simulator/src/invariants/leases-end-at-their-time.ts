/**
 * No lease of keys ends early: between the append of the entry that granted or last kept it and the append of the
 * entry that ends it, the clocks of all leaders have advanced at least by its time (DESIGN, section 5: expiry is
 * decided through the log; promise 20).
 */
import type { LogIndex } from '@conclave/protocol';
import { type Invariant, Rule } from './invariant.js';
import { entryAt, entryText } from './record/log-tree.js';

/** For rounding errors. */
const toleranceMs = 0.001;

export class LeasesEndAtTheirTime extends Rule implements Invariant {
  readonly name = 'leases-end-at-their-time';

  onResult(index: LogIndex): void {
    const { record } = this;
    const entry = record.commits.at(index);
    if (entry === undefined) return;
    for (const { name, ttlMs, keptIndex } of record.states.appliedOf(entry)?.ended ?? []) {
      const kept = entryAt(entry, keptIndex);
      const keptMs = kept === undefined ? undefined : record.firstAppendedMs(kept);
      const endedMs = record.firstAppendedMs(entry);
      if (kept === undefined || keptMs === undefined || endedMs === undefined) continue;
      const passedMs = record.clocks.passed(keptMs, endedMs);
      this.check(
        passedMs >= ttlMs - toleranceMs,
        () => `${entryText(entry)} ends lease ${name} of ${ttlMs} ms, ${passedMs} ms after ${entryText(kept)} kept it`,
      );
    }
  }
}
