/** How much room the disk has, and whether that is too little. It does not measure. */

/** What was low is low until there is so much more than the reserve, so that it does not change back and forth. */
const enoughAgain = 1.25;

export class DiskRoom {
  private measured: { readonly freeBytes: number; readonly isLow: boolean } | undefined;

  constructor(private readonly reserveBytes: number) {}

  /** As last measured; undefined: not yet. */
  get room(): { readonly freeBytes: number; readonly isLow: boolean } | undefined {
    return this.measured;
  }

  onMeasured(freeBytes: number): void {
    const least = this.reserveBytes * (this.measured?.isLow ? enoughAgain : 1);
    this.measured = { freeBytes, isLow: freeBytes < least };
  }
}
