/**
 * The log of a group in its three stages: accepted, being written, durable.
 *
 * Owns: their order, and the acknowledgements to send once a write is synced. Does not know the rules of sessions, nor where
 * acknowledgements are sent.
 *
 * Invariants:
 * 1. There is one order over entries, truncation, term, vote and open. `written` is what was accepted when the last
 *    write began; `durable` is what was `written` when one was last synced.
 * 2. At most one write is outstanding; without one, `durable` and `written` are the same.
 * 3. Terms never fall; a known commit index falls only when an open drops the entries that it covers.
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
import { chunkKey } from './keys.js';
import { replacesLog, withChunk, withoutIncoming, withSnapshot } from './log-snapshots.js';
import { emptyLog, type LogState, withBatch, withoutEntriesFrom } from './log-state.js';
import type { DurabilityNote, StorageOperation } from './storage-operations.js';
import { WriteBatch } from './write-batch.js';

/** A write for the storage. */
export interface Write {
  readonly operations: readonly StorageOperation[];
  readonly note: DurabilityNote;
}

export class WritePipeline {
  private acceptedState: LogState = emptyLog;
  private writtenState: LogState = emptyLog;
  private durableState: LogState = emptyLog;
  private next = new WriteBatch();
  private running: WriteBatch | undefined;
  private truncationCount = 0;

  /** The state with everything that was accepted. */
  get accepted(): LogState {
    return this.acceptedState;
  }

  get durable(): LogState {
    return this.durableState;
  }

  get isWriting(): boolean {
    return this.running !== undefined;
  }

  /** Whether something accepted has to be written. */
  get needsWrite(): boolean {
    return this.next.isNeeded;
  }

  /** Whether the outstanding write deletes entries. */
  get isTruncating(): boolean {
    return this.running?.truncates ?? false;
  }

  /** How many truncations the storage was given. */
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
   * Opens the next session. Accepted changes that are not part of a write are dropped: the new session begins with what will be
   * durable.
   * @returns whether there were any
   */
  open(nonce: string, newStoreId: StoreId): boolean {
    const hadQueued = this.next.isNeeded || this.next.taken !== undefined;
    const session = asSession(this.acceptedState.session + 1);
    this.next = new WriteBatch();
    this.next.isNeeded = true;
    this.next.opening = nonce;
    const storeId = this.writtenState.storeId === '' ? newStoreId : this.writtenState.storeId;
    // A snapshot that the older session was taking is abandoned; one that a leader installs is continued.
    const { incoming } = this.writtenState;
    const kept = incoming?.source === 'taken' ? withoutIncoming(this.writtenState) : this.writtenState;
    this.acceptedState = { ...kept, storeId, session, nonce };
    return hadQueued;
  }

  /** Whether an opening with this nonce is accepted and not yet durable. */
  isOpening(nonce: string): boolean {
    return this.next.opening === nonce || this.running?.opening === nonce;
  }

  /** A message of the node's link was accepted: it is synced with the next write. */
  accept(session: Session, { link, seq }: Frame): void {
    this.next.taken = { session, frame: { link, seq } };
  }

  /** Applies a checked append. @returns how many acknowledgements its truncation has dropped */
  append(body: Body<'log-store.append'>, batches: readonly CheckedBatch[], seq: number): number {
    if (this.acceptedState.groupUid === noGroupUid) this.change({ groupUid: body.group_uid });
    this.raiseTerm(body.leader_term, '');
    const undone = truncates(this.acceptedState, body.truncate_from) ? this.truncate(body.truncate_from) : 0;
    for (const { header, bytes, configuration } of batches) {
      this.next.append(header, bytes);
      this.acceptedState = withBatch(this.acceptedState, header, configuration);
    }
    this.recordCommitIndex(body.commit_index);
    if (batches.length === 0) this.next.isAwaited = true;
    this.next.acknowledge({
      leaderId: body.leader_id,
      leaderTerm: body.leader_term,
      groupUid: body.group_uid,
      session: body.session,
      seq,
      matchIndex: body.verified_index,
    });
    return undone;
  }

  /** Applies a new term, or a vote in the current term. */
  vote(term: Term, votedFor: PeerId | ''): void {
    this.next.isAwaited = true;
    invariant(term >= this.acceptedState.term, 'terms never fall');
    this.raiseTerm(term, votedFor);
    if (this.acceptedState.votedFor === votedFor) return;
    invariant(this.acceptedState.votedFor === '', 'a vote is never changed');
    this.change({ votedFor });
  }

  /** Adds a chunk that begins a snapshot, or is the next one of it. */
  chunk(groupId: GroupId, body: Body<'log-store.snapshot_chunk'>): void {
    this.change(withChunk(this.acceptedState, body));
    const slot = this.acceptedState.incoming?.slot ?? 0;
    this.next.putChunk(chunkKey(groupId, slot, body.number), body.chunk);
  }

  /** The complete snapshot becomes current. @returns how many acknowledgements this has dropped */
  snapshot(body: Body<'log-store.snapshot_end'>): number {
    const { accepted } = this;
    if (accepted.groupUid === noGroupUid) this.change({ groupUid: body.group_uid });
    this.raiseTerm(body.term, '');
    if (!replacesLog(accepted, body)) {
      this.change(withSnapshot(this.acceptedState, body));
      return 0;
    }
    // Entries below remain under the base, where nobody reads them; entries above must not be mistaken for the log's end.
    const beyond = asLogIndex(body.head.index + 1);
    this.next.truncate(beyond, this.writtenState.lastIndex);
    this.change(withSnapshot(this.acceptedState, body));
    const all = asLogIndex(0);
    return this.next.dropAcknowledgementsFrom(all) + (this.running?.dropAcknowledgementsFrom(all) ?? 0);
  }

  /** Drops an incomplete snapshot. */
  dropIncoming(): void {
    if (this.acceptedState.incoming !== undefined) this.change({ incoming: undefined });
  }

  /** The accepted message is to be acknowledged promptly, even if there is nothing to write. */
  requireWrite(): void {
    this.next.isAwaited = true;
  }

  /** Begins a new history after the last entry, in a new term. */
  reset(body: Body<'log-store.reset'>, { header, bytes, configuration }: CheckedBatch): void {
    this.change({ ...withoutIncoming(this.acceptedState), groupUid: body.group_uid });
    this.raiseTerm(body.term, '');
    this.next.append(header, bytes);
    this.acceptedState = withBatch(this.acceptedState, header, configuration);
  }

  /** @param divergedAt undefined: unchanged */
  setReadOnly(readOnly: boolean, divergedAt: LogIndex = this.acceptedState.divergedAt): void {
    const before = this.acceptedState;
    if (before.readOnly !== readOnly || before.divergedAt !== divergedAt) this.change({ readOnly, divergedAt });
  }

  private change(change: Partial<LogState>): void {
    this.acceptedState = { ...this.acceptedState, ...change };
    this.next.isNeeded = true;
  }

  private raiseTerm(term: Term, votedFor: PeerId | ''): void {
    if (term > this.acceptedState.term) this.change({ term, votedFor });
  }

  private truncate(from: LogIndex): number {
    this.next.truncate(from, this.writtenState.lastIndex);
    this.acceptedState = withoutEntriesFrom(this.acceptedState, from);
    return this.next.dropAcknowledgementsFrom(from) + (this.running?.dropAcknowledgementsFrom(from) ?? 0);
  }

  /** Records a commit index: a hint, which needs no write. */
  private recordCommitIndex(commitIndex: LogIndex): void {
    const known = asLogIndex(Math.min(commitIndex, this.acceptedState.lastIndex));
    if (known > this.acceptedState.commitIndex) this.acceptedState = { ...this.acceptedState, commitIndex: known };
  }

  // ---- Writing -------------------------------------------------------------------------------------

  /** @returns the next write for the storage; or what is done already, if nothing has to be written */
  begin(groupId: GroupId): { readonly write: Write } | { readonly done: WriteBatch } {
    invariant(this.running === undefined, 'at most one write is outstanding');
    const { next } = this;
    this.next = new WriteBatch();
    if (!next.isNeeded) {
      next.isAwaited = true;
      return { done: next };
    }
    const operations = next.operations(groupId, this.writtenState, this.acceptedState);
    if (next.truncates) this.truncationCount += 1;
    this.running = next;
    this.writtenState = this.acceptedState;
    const { lastIndex, term, votedFor, session } = this.writtenState;
    const note = { group_id: groupId, last_index: lastIndex, term, voted_for: votedFor, session };
    return { write: { operations, note } };
  }

  /** The write is synced. @returns its contents */
  finish(): WriteBatch {
    const { running } = this;
    invariant(running !== undefined, 'a synced write was given to the storage');
    this.running = undefined;
    this.durableState = this.writtenState;
    return running;
  }
}
