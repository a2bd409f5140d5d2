/**
 * Whether a target receives the leader's new entries from the leader's feed, so that they need not be sent to it (decision 0019).
 *
 * Owns: whether the target is asked to subscribe, and whether it has subscribed. Does not own when the target should subscribe.
 *
 * Invariants:
 * 1. A target counts as subscribed only after an echo in which it reported that it receives the feed.
 */
export class TargetFeed {
  private state: 'unsubscribed' | 'requested' | 'subscribed' = 'unsubscribed';

  /** Whether the target should receive the feed; each AppendEntries to it contains this. */
  get isWanted(): boolean {
    return this.state !== 'unsubscribed';
  }

  get isRequested(): boolean {
    return this.state === 'requested';
  }

  get isSubscribed(): boolean {
    return this.state === 'subscribed';
  }

  /** Requests that the target subscribe; its next echo confirms that. */
  request(): void {
    if (this.state === 'unsubscribed') this.state = 'requested';
  }

  /** The target has reported whether it receives the feed. @param hasSentAll whether all entries before those of the feed have been sent */
  onEcho(hearsFeed: boolean, hasSentAll: boolean): void {
    if (!hearsFeed) this.suspend();
    // Counted as subscribed only once everything was sent, so that no entry is missing between the last sent one and the first one
    // from the feed.
    else if (hasSentAll && this.state === 'requested') this.state = 'subscribed';
  }

  /** The entries of the feed no longer count as sent, until another echo. */
  suspend(): void {
    if (this.state === 'subscribed') this.state = 'requested';
  }

  /** The target should not receive the feed. */
  cancel(): void {
    this.state = 'unsubscribed';
  }
}
