/**
 * The effects of the running step, and the core's only timer.
 *
 * Owns: when the timer fires. Does not own what is due then.
 *
 * Invariant: a timer that is set fires no later than the earliest time given to `wakeAt` since it fired last.
 */
import type { ClientEffect } from './call.js';

export class StepEffects {
  private effects: ClientEffect[] = [];
  /** When the timer fires; infinite: it is not set. */
  private timerMs = Number.POSITIVE_INFINITY;
  /** The earliest time for which the running step needs the timer. */
  private earliestMs = Number.POSITIVE_INFINITY;

  /** A step begins. */
  begin(): void {
    this.effects = [];
    this.earliestMs = Number.POSITIVE_INFINITY;
  }

  emit(effect: ClientEffect): void {
    this.effects.push(effect);
  }

  /** The core needs an input `timer` at this time; infinite: it needs none. */
  wakeAt(dueMs: number): void {
    this.earliestMs = Math.min(this.earliestMs, dueMs);
  }

  /** The timer has fired. */
  onTimer(): void {
    this.timerMs = Number.POSITIVE_INFINITY;
  }

  cancelTimer(): void {
    if (this.timerMs === Number.POSITIVE_INFINITY) return;
    this.timerMs = Number.POSITIVE_INFINITY;
    this.emit({ type: 'cancel_timer', timer: 'due' });
  }

  /** The step ends. @returns its effects; the last one sets the timer, if it must fire earlier than before */
  take(nowMs: number): readonly ClientEffect[] {
    if (this.earliestMs < this.timerMs) {
      this.timerMs = this.earliestMs;
      this.emit({ type: 'set_timer', timer: 'due', afterMs: Math.max(0, this.timerMs - nowMs) });
    }
    return this.effects;
  }
}
