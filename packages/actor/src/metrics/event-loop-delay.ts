/**
 * Measures how late a timer of this process fires. (The delay monitor of Node.js has no buckets, only percentiles since its last
 * reset, which two readers cannot share.)
 */
import { FixedHistogram } from '../core/index.js';
import { isMeasuring } from './measuring.js';

/**
 * Short enough that a pause that matters to an election is measured in most of its length; long enough that an idle process does not
 * wake mostly for this timer.
 */
const everyMs = 200;

export class EventLoopDelay {
  readonly histogram = new FixedHistogram();
  private readonly timer: NodeJS.Timeout | undefined;
  private dueMs = performance.now() + everyMs;

  constructor() {
    this.timer = isMeasuring ? setInterval(() => this.onTimer(), everyMs).unref() : undefined;
  }

  stop(): void {
    clearInterval(this.timer);
  }

  private onTimer(): void {
    const nowMs = performance.now();
    // A timer fires up to a millisecond early.
    this.histogram.record(Math.max(0, nowMs - this.dueMs) / 1000);
    this.dueMs = nowMs + everyMs;
  }
}
