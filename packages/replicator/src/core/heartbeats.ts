/**
 * The ids of the heartbeats to a target: they are not in flight as other requests are, but may be rejected.
 *
 * Owns: the first and the latest id since the sender entered its state. Does not own when heartbeats are sent.
 */
export class Heartbeats {
  private ids: { readonly first: number; readonly latest: number } | undefined;

  add(requestId: number): void {
    this.ids = { first: this.ids?.first ?? requestId, latest: requestId };
  }

  isLatest(requestId: number): boolean {
    return requestId === this.ids?.latest;
  }

  /** Whether it is the id of some heartbeat: a target that replies slowly must be found to have another store, too. */
  includes(requestId: number): boolean {
    return this.ids !== undefined && requestId >= this.ids.first && requestId <= this.ids.latest;
  }

  clear(): void {
    this.ids = undefined;
  }
}
