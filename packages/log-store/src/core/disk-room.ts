/** How much room the disk has, whether that is too little, and what else is wrong with it. It does not measure. */

/** What was low is low until there is so much more than the reserve, so that it does not change back and forth. */
const enoughAgain = 1.25;

export class DiskRoom {
  private measured: { readonly freeBytes: number; readonly isLow: boolean } | undefined;

  constructor(private readonly reserveBytes: number) {}

  /** As last measured; undefined: not yet. */
  get room(): { readonly freeBytes: number; readonly isLow: boolean } | undefined {
    return this.measured;
  }

  /** What keeps the storage from working now, or empty. */
  trouble = '';
  /** Whether nothing at all can be stored now. */
  isStuck = false;

  onMeasured(freeBytes: number, trouble = '', isStuck = false): void {
    this.trouble = trouble;
    this.isStuck = isStuck;
    const least = this.reserveBytes * (this.measured?.isLow ? enoughAgain : 1);
    this.measured = { freeBytes, isLow: freeBytes < least };
  }
}
