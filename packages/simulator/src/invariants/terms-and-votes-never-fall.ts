/**
 * On a disk the term never decreases, a vote is never changed or lost within its term, and a store never becomes
 * another store (Raft thesis, section 3.4).
 */
import type { PeerId } from '@conclave/protocol';
import { type Invariant, Rule } from './invariant.js';

export class TermsAndVotesNeverFall extends Rule implements Invariant {
  readonly name = 'terms-and-votes-never-fall';

  onWritten(peerId: PeerId): void {
    const { change } = this.record;
    if (change === undefined || change.before.meta === change.store.meta) return;
    const [before, after] = [change.before.meta, change.store.meta];
    const isSameStore = before.store_id === '' || before.store_id === after.store_id;
    this.check(isSameStore, () => `the store of ${peerId} was ${before.store_id} and is ${after.store_id}`);
    this.check(after.term >= before.term, () => `the term of ${peerId} fell from ${before.term} to ${after.term}`);
    const isKept = after.term > before.term || before.voted_for === '' || after.voted_for === before.voted_for;
    this.check(
      isKept,
      () => `${peerId} voted for ${before.voted_for} in term ${before.term}, and then for '${after.voted_for}'`,
    );
  }
}
