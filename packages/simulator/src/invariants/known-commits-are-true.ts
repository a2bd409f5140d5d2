/**
 * What a node considers committed is committed, and is what its own log has at that index (Raft thesis, section 3.5).
 * A follower advances its commit index to `min(leader_commit, verified_index)` at most; or to a read index that the
 * leader has answered, if the follower has that entry with the term that the leader named (Log Matching).
 */
import type { Body } from '@conclave/protocol';
import type { Actor } from '../mesh/actor.js';
import { type Invariant, Rule } from './invariant.js';
import { type Entry, entryAt, entryText } from './record/log-tree.js';
import { summaryOf } from './record/nodes.js';
import type { Step } from './record/run-record.js';

export class KnownCommitsAreTrue extends Rule implements Invariant {
  readonly name = 'known-commits-are-true';
  readonly watched = ['node'] as const;
  private readonly known = new WeakMap<object, number>();
  /** The index that was last verified, and in which step. */
  private verified: { readonly index: number; readonly step: Step | undefined } = { index: 0, step: undefined };
  private readonly storeOf = new WeakMap<object, { readonly store_id: string; readonly session: number }>();

  readonly sent = {
    'log-store.append': (body: Body<'log-store.append'>, from: Actor) => {
      const index = Math.max(this.verifiedIndex(), body.verified_index);
      this.verified = { index, step: this.record.step };
      this.storeOf.set(from.core, body);
    },
    'feed.append': (body: Body<'feed.append'>, from: Actor) => this.storeOf.set(from.core, body),
  };

  /** Returns the index that was verified in this step. */
  private verifiedIndex(): number {
    return this.verified.step === this.record.step ? this.verified.index : 0;
  }

  onStepped(actor: Actor): void {
    if (actor.kind !== 'node') return;
    const { commit_index } = summaryOf(actor);
    const before = this.known.get(actor.core) ?? 0;
    if (commit_index === before) return;
    this.known.set(actor.core, commit_index);
    const committed = this.record.commits.at(commit_index);
    this.check(
      committed !== undefined,
      () => `${actor.peerId} considers entry ${commit_index} committed, and it is not`,
    );
    const own = this.storeOf.get(actor.core);
    // The node has not sent anything to its log-store yet: the index is that of the opened store.
    if (own === undefined) return;
    const accepted = entryAt(this.record.accepted.of(own)?.last, commit_index);
    this.check(
      accepted === committed,
      () => `${actor.peerId} considers ${entryText(accepted)} committed, and ${entryText(committed)} is`,
    );
    if (this.isToldByBallotBox() || this.isReadIndexOf(accepted, commit_index)) return;
    this.check(
      commit_index <= this.verifiedIndex(),
      () => `${actor.peerId} considers entry ${commit_index} committed, and ${this.verifiedIndex()} is verified`,
    );
  }

  /** Whether the leader has answered that an entry with this term is committed: then all before it is, too. */
  private isReadIndexOf(accepted: Entry | undefined, index: number): boolean {
    const message = this.record.step?.message;
    if (message?.name !== 'node.read_index_answer') return false;
    return message.body.read_index === index && message.body.index_term === accepted?.term;
  }

  /** Whether a leader's ballot-box reported it. It may not lead any more: this is how it learns of its removal. */
  private isToldByBallotBox(): boolean {
    return this.record.step?.message?.name === 'feed.committed';
  }
}
