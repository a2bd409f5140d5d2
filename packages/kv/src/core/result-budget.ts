/** The room for what transactions read: in the reply to one entry, and in the results kept for repeats. */
import { limits } from '@conclave/protocol';

/** Why there is no room, as an error can report it; undefined: there is room. */
export type RoomFault = 'never' | 'not_now';

export class ResultBudget {
  private left: number = limits.foundBytes;

  /** @param keptLeft returns how much more may be kept for repeats */
  constructor(private readonly keptLeft: () => number) {}

  faultOf(bytes: number): RoomFault | undefined {
    if (bytes > limits.foundBytes) return 'never';
    return bytes > this.left || bytes > this.keptLeft() ? 'not_now' : undefined;
  }

  /** Reserves room for an existing result; false: there is none. */
  take(bytes: number): boolean {
    if (bytes > this.left) return false;
    this.left -= bytes;
    return true;
  }
}
