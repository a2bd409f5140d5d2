/** Where the revisions of a history begin to count, as its calls were told them. */
import { numbersPerSecond } from '@conclave/protocol';

/**
 * Returns the `base` for `checkHistory`: bases are whole seconds, and no run makes as many writes in one second as a second
 * holds.
 *
 * @param revisions those that calls were answered with; 0 (no such key) is passed over
 */
export function historyBaseOf(revisions: readonly number[]): number {
  const given = revisions.filter((revision) => revision > 0);
  const least = given.reduce((min, revision) => Math.min(min, revision), Number.POSITIVE_INFINITY);
  return given.length === 0 ? 0 : least - (least % numbersPerSecond);
}
