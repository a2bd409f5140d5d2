/** How much of what transactions read still has room: in the answer to one entry, and in what is kept for repeats. */
import { limits } from '@conclave/protocol';

/** What stands against so many bytes, as the codes of errors tell it; undefined: they have room. */
export type RoomFault = 'never' | 'not_now';

export class AnswerRoom {
  private left: number = limits.foundBytes;

  /** @param keptLeft how much more may be kept for repeats; asked anew each time. */
  constructor(private readonly keptLeft: () => number) {}

  faultOf(bytes: number): RoomFault | undefined {
    if (bytes > limits.foundBytes) return 'never';
    return bytes > this.left || bytes > this.keptLeft() ? 'not_now' : undefined;
  }

  /** Takes so many bytes for a result that is there already; false: they have no room. */
  take(bytes: number): boolean {
    if (bytes > this.left) return false;
    this.left -= bytes;
    return true;
  }
}
