/** The free space of the disk, whether it is too low, and what else is wrong with the disk. It does not measure. */

/** Low space counts as recovered only at this multiple of the reserve, so that the state does not flap. */
const recoveredRatio = 1.25;

export class DiskReserve {
  private measured: { readonly freeBytes: number; readonly isLow: boolean } | undefined;

  constructor(private readonly reserveBytes: number) {}

  /** The last measurement; undefined: none yet. */
  get room(): { readonly freeBytes: number; readonly isLow: boolean } | undefined {
    return this.measured;
  }

  /** What keeps the storage from working now; empty: nothing. */
  problem = '';
  /** Whether nothing can be stored now. */
  isStuck = false;

  /** @param freeBytes undefined: it cannot be measured now, so the last measurement counts */
  onMeasured(freeBytes: number | undefined, problem = '', isStuck = false): void {
    this.problem = problem;
    this.isStuck = isStuck;
    if (freeBytes === undefined) return;
    const minBytes = this.reserveBytes * (this.measured?.isLow ? recoveredRatio : 1);
    this.measured = { freeBytes, isLow: freeBytes < minBytes };
  }
}
