/**
 * What one browser has not received yet.
 *
 * Invariants:
 * 1. At most `limits.viewBrowserRecords` records wait. Beyond that the oldest messages are dropped, then the oldest records.
 * 2. What was dropped is reported to the browser by a `lost` record.
 */
import { limits } from '@conclave/protocol';
import type { ViewRecord } from '../records/record.js';

export class BrowserQueue {
  private waiting: ViewRecord[] = [];
  private dropped = 0;

  add(records: readonly ViewRecord[]): void {
    this.waiting.push(...records);
    const over = this.waiting.length - limits.viewBrowserRecords;
    if (over <= 0) return;
    let left = over;
    this.waiting = this.waiting.filter(({ kind }) => kind !== 'message' || left-- <= 0);
    if (this.waiting.length > limits.viewBrowserRecords) {
      this.waiting = this.waiting.slice(-limits.viewBrowserRecords);
    }
    this.dropped += over;
  }

  /** Returns and removes what waits. */
  take(): ViewRecord[] {
    const records = this.waiting;
    const first = records[0];
    this.waiting = [];
    if (this.dropped > 0 && first !== undefined) {
      const text = 'this browser reads more slowly than the group sends';
      records.unshift({ at: first.at, kind: 'lost', count: this.dropped, text });
      this.dropped = 0;
    }
    return records;
  }

  clear(): void {
    this.waiting = [];
    this.dropped = 0;
  }
}
