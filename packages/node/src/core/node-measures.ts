/** What a node counts and measures of itself. Nothing depends on it. */
import { FixedHistogram } from '@conclave/actor/core';
import type { PeerId } from '@conclave/protocol';

export class NodeMeasures {
  readonly campaigns = { pre_vote: 0, vote: 0 };
  /** From the append of writes to their commit. */
  readonly commitSeconds = new FixedHistogram();
  private leaderId: PeerId | '' = '';
  private changes = 0;

  /** How often another leader was followed than before. */
  get leaderChanges(): number {
    return this.changes;
  }

  /** The leader after a step; empty: none is known, which alone is no change. */
  onLeader(leaderId: PeerId | ''): void {
    if (leaderId === '' || leaderId === this.leaderId) return;
    this.leaderId = leaderId;
    this.changes += 1;
  }
}
