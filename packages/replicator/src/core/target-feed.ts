/**
 * Whether a target receives the leader's new entries from the leader's feed, so that they need not be sent to it (decision 0019).
 *
 * Owns: this state. Does not own when the target should subscribe.
 *
 * Invariant: a target is subscribed only after an echo in which it reported that it receives the feed.
 */
export class TargetFeed {
  private state: 'unsubscribed' | 'requested' | 'subscribed' = 'unsubscribed';

  /** Whether the target should receive the feed, as each AppendEntries to it says. */
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
    // No entry is missing between those that were sent and those of the feed.
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
