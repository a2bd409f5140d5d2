/**
 * Which requests to a target were heartbeats: they are not in flight as others are, but may be rejected.
 *
 * Owns their ids, since the target's state is what it is. Does not own when they are sent.
 */
export class Heartbeats {
  private ids: { readonly first: number; readonly latest: number } | undefined;

  add(requestId: number): void {
    this.ids = { first: this.ids?.first ?? requestId, latest: requestId };
  }

  isLatest(requestId: number): boolean {
    return requestId === this.ids?.latest;
  }

  /** Whether it may answer an earlier one: who answers slowly must be found to have another store, too. */
  mayBe(requestId: number): boolean {
    return this.ids !== undefined && requestId >= this.ids.first && requestId <= this.ids.latest;
  }

  forget(): void {
    this.ids = undefined;
  }
}
