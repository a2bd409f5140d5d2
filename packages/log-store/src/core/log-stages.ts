/**
 * The log of a group in its three stages: accepted, being written, durable. It owns their order, and what is to be
 * told once a write is synced; it knows neither sessions' rules nor who is to be told.
 *
 * Invariants:
 * 1. There is one order over entries, truncation, term, vote and open. `written` is what was accepted when the last
 *    write began; `durable` is what was `written` when one was last synced.
 * 2. At most one write is outstanding; without one, `durable` and `written` are the same.
 * 3. Terms never fall; a commit index that is known never falls but by an open, with what it spoke of.
 */
import {
  asLogIndex,
  asSession,
  type Body,
  type Frame,
  type GroupId,
  invariant,
  type LogIndex,
  noGroupUid,
  type PeerId,
  type Session,
  type StoreId,
  type Term,
} from '@conclave/protocol';
import { type CheckedBatch, truncates } from './append-check.js';
import { GatheredWrite } from './gathered-write.js';
import { chunkKey } from './keys.js';
import { replacesLog, withChunk, withoutIncoming, withSnapshot } from './log-snapshots.js';
import { emptyLog, type LogState, withBatch, withoutEntriesFrom } from './log-state.js';
import type { StorageOperation, WriteNote } from './operations.js';

/** A write as it is handed to the storage. */
export interface Write {
  readonly operations: readonly StorageOperation[];
  readonly note: WriteNote;
}

export class LogStages {
  private acceptedState: LogState = emptyLog;
  private writtenState: LogState = emptyLog;
  private durableState: LogState = emptyLog;
  private gathered = new GatheredWrite();
  private running: GatheredWrite | undefined;
  private truncationCount = 0;

  /** With all that was accepted. */
  get accepted(): LogState {
    return this.acceptedState;
  }

  get durable(): LogState {
    return this.durableState;
  }

  get isWriting(): boolean {
    return this.running !== undefined;
  }

  /** Whether something that was accepted has to be written. */
  get needsWrite(): boolean {
    return this.gathered.isNeeded;
  }

  /** Whether the write that is outstanding deletes entries. */
  get isTruncating(): boolean {
    return this.running?.truncates ?? false;
  }

  /** How many truncations have been handed to the storage. */
  get truncations(): number {
    return this.truncationCount;
  }

  load(state: LogState): void {
    this.acceptedState = state;
    this.writtenState = state;
    this.durableState = state;
  }

  // ---- Accepting -----------------------------------------------------------------------------------

  /**
   * Opens the next session. What was accepted but not yet handed to a write is gone: the new session begins from what
   * will be durable. Answers whether there was any.
   */
  open(nonce: string, newStoreId: StoreId): boolean {
    const hadQueued = this.gathered.isNeeded || this.gathered.taken !== undefined;
    const session = asSession(this.acceptedState.session + 1);
    this.gathered = new GatheredWrite();
    this.gathered.isNeeded = true;
    this.gathered.opening = nonce;
    const storeId = this.writtenState.storeId === '' ? newStoreId : this.writtenState.storeId;
    // A snapshot that the older session was taking is nobody's any more; one that a leader installs goes on.
    const { incoming } = this.writtenState;
    const kept = incoming?.source === 'taken' ? withoutIncoming(this.writtenState) : this.writtenState;
    this.acceptedState = { ...kept, storeId, session, nonce };
    return hadQueued;
  }

  /** Whether an opening with this nonce is accepted and not yet durable. */
  isOpening(nonce: string): boolean {
    return this.gathered.opening === nonce || this.running?.opening === nonce;
  }

  /** A message of the node's link has been taken: it is synced with the next write. */
  took(session: Session, { link, seq }: Frame): void {
    this.gathered.taken = { session, frame: { link, seq } };
  }

  /** Takes an append that was checked. Answers how many acknowledgements its truncation has undone. */
  append(body: Body<'log-store.append'>, batches: readonly CheckedBatch[], seq: number): number {
    if (this.acceptedState.groupUid === noGroupUid) this.change({ groupUid: body.group_uid });
    this.raiseTerm(body.leader_term, '');
    const undone = truncates(this.acceptedState, body.truncate_from) ? this.truncate(body.truncate_from) : 0;
    for (const { header, bytes, configuration } of batches) {
      this.gathered.append(header, bytes);
      this.acceptedState = withBatch(this.acceptedState, header, configuration);
    }
    this.hear(body.commit_index);
    if (batches.length === 0) this.gathered.isAwaited = true;
    this.gathered.acknowledge({
      leaderId: body.leader_id,
      leaderTerm: body.leader_term,
      groupUid: body.group_uid,
      session: body.session,
      seq,
      matchIndex: body.verified_index,
    });
    return undone;
  }

  /** Takes a term, or a vote in the term that is known. */
  vote(term: Term, votedFor: PeerId | ''): void {
    this.gathered.isAwaited = true;
    invariant(term >= this.acceptedState.term, 'terms never fall');
    this.raiseTerm(term, votedFor);
    if (this.acceptedState.votedFor === votedFor) return;
    invariant(this.acceptedState.votedFor === '', 'a vote is never changed');
    this.change({ votedFor });
  }

  /** Takes a chunk that begins a snapshot, or is the next one of it. */
  chunk(groupId: GroupId, body: Body<'log-store.snapshot_chunk'>): void {
    this.change(withChunk(this.acceptedState, body));
    const slot = this.acceptedState.incoming?.slot ?? 0;
    this.gathered.putChunk(chunkKey(groupId, slot, body.number), body.chunk);
  }

  /** The snapshot that came in counts from now on. Answers how many acknowledgements that has undone. */
  snapshot(body: Body<'log-store.snapshot_end'>): number {
    const { accepted } = this;
    if (accepted.groupUid === noGroupUid) this.change({ groupUid: body.group_uid });
    this.raiseTerm(body.term, '');
    if (!replacesLog(accepted, body)) {
      this.change(withSnapshot(this.acceptedState, body));
      return 0;
    }
    // What is below stays behind the base, where nobody reads it; what is above must not be taken for a tail.
    const beyond = asLogIndex(body.head.index + 1);
    this.gathered.truncate(beyond, this.writtenState.lastIndex);
    this.change(withSnapshot(this.acceptedState, body));
    const all = asLogIndex(0);
    return this.gathered.dropAcknowledgementsFrom(all) + (this.running?.dropAcknowledgementsFrom(all) ?? 0);
  }

  /** Gives up a snapshot that was coming in. */
  dropIncoming(): void {
    if (this.acceptedState.incoming !== undefined) this.change({ incoming: undefined });
  }

  /** What was taken is acknowledged promptly, though it may bring nothing to write. */
  await(): void {
    this.gathered.isAwaited = true;
  }

  /** Begins a new history behind the last entry, in a new term. */
  reset(body: Body<'log-store.reset'>, { header, bytes, configuration }: CheckedBatch): void {
    this.change({ ...withoutIncoming(this.acceptedState), groupUid: body.group_uid });
    this.raiseTerm(body.term, '');
    this.gathered.append(header, bytes);
    this.acceptedState = withBatch(this.acceptedState, header, configuration);
  }

  /** @param divergedAt undefined: as before */
  setReadOnly(readOnly: boolean, divergedAt: LogIndex = this.acceptedState.divergedAt): void {
    const before = this.acceptedState;
    if (before.readOnly !== readOnly || before.divergedAt !== divergedAt) this.change({ readOnly, divergedAt });
  }

  private change(change: Partial<LogState>): void {
    this.acceptedState = { ...this.acceptedState, ...change };
    this.gathered.isNeeded = true;
  }

  private raiseTerm(term: Term, votedFor: PeerId | ''): void {
    if (term > this.acceptedState.term) this.change({ term, votedFor });
  }

  private truncate(from: LogIndex): number {
    this.gathered.truncate(from, this.writtenState.lastIndex);
    this.acceptedState = withoutEntriesFrom(this.acceptedState, from);
    return this.gathered.dropAcknowledgementsFrom(from) + (this.running?.dropAcknowledgementsFrom(from) ?? 0);
  }

  /** Takes note of a commit index: a hint, which makes no write necessary. */
  private hear(commitIndex: LogIndex): void {
    const known = asLogIndex(Math.min(commitIndex, this.acceptedState.lastIndex));
    if (known > this.acceptedState.commitIndex) this.acceptedState = { ...this.acceptedState, commitIndex: known };
  }

  // ---- Writing -------------------------------------------------------------------------------------

  /** Hands over what was gathered, where that needs a write; what needs none is done with all before it. */
  begin(groupId: GroupId): { readonly write: Write } | { readonly done: GatheredWrite } {
    invariant(this.running === undefined, 'at most one write is outstanding');
    const { gathered } = this;
    this.gathered = new GatheredWrite();
    if (!gathered.isNeeded) {
      gathered.isAwaited = true;
      return { done: gathered };
    }
    const operations = gathered.operations(groupId, this.writtenState, this.acceptedState);
    if (gathered.truncates) this.truncationCount += 1;
    this.running = gathered;
    this.writtenState = this.acceptedState;
    const { lastIndex, term, votedFor, session } = this.writtenState;
    const note = { group_id: groupId, last_index: lastIndex, term, voted_for: votedFor, session };
    return { write: { operations, note } };
  }

  /** The write is synced. */
  finish(): GatheredWrite {
    const { running } = this;
    invariant(running !== undefined, 'what is synced was handed to the storage');
    this.running = undefined;
    this.durableState = this.writtenState;
    return running;
  }
}
