/**
 * The state of a group's log in three stages: accepted, written, durable. A message of the node changes the accepted state. A
 * write brings all accepted changes to the storage. When the write is synced, they are durable.
 *
 * Owns: the three states, and the acknowledgements to send once a write is synced. Does not know the rules of sessions, nor where
 * acknowledgements are sent.
 *
 * Invariants:
 * 1. Entries, truncations, terms, votes and openings become durable in the order in which they were accepted. `written` is the
 *    state that was accepted when the last write began; `durable` is the state of the last write that was synced.
 * 2. At most one write is in progress. While there is none, `durable` equals `written`.
 * 3. In `written` and `durable`, the term and the known commit index never decrease. In `accepted` they decrease only if a session is
 *    opened: the new session begins with the written state, and what was accepted after that is dropped.
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
import type { RecordedGroup, StorageOperation } from './storage-operations.js';
import { WriteBatch } from './write-batch.js';

/** One write for the storage: its operations, and the state of the group after it, for the side file. */
export interface Write {
  readonly operations: readonly StorageOperation[];
  readonly group: RecordedGroup;
}

export class WritePipeline {
  private acceptedState: LogState = emptyLog;
  private writtenState: LogState = emptyLog;
  private durableState: LogState = emptyLog;
  /** What was accepted and is not part of a write yet. */
  private next = new WriteBatch();
  /** The write in progress. */
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

  /** Whether an accepted change is not part of a write yet. */
  get needsWrite(): boolean {
    return this.next.isNeeded;
  }

  /** Whether the write in progress deletes entries. */
  get isTruncating(): boolean {
    return this.running?.truncates ?? false;
  }

  /** How many writes with a truncation have begun. */
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
   * Opens the next session. Accepted changes that are not part of a write are dropped: the new session begins with the state that is
   * durable once the write in progress is synced.
   * @param nonce identifies the request that opens the session
   * @param newStoreId the id of the store if it has none yet
   * @returns whether changes or messages were dropped
   */
  open(nonce: string, newStoreId: StoreId): boolean {
    const hadQueued = this.next.isNeeded || this.next.acceptedFrame !== undefined;
    const session = asSession(this.acceptedState.session + 1);
    this.next = new WriteBatch();
    this.next.isNeeded = true;
    this.next.opening = nonce;
    const storeId = this.writtenState.storeId === '' ? newStoreId : this.writtenState.storeId;
    // An incomplete snapshot that the node of the older session was taking is dropped; one that a leader sends is kept.
    const { incoming } = this.writtenState;
    const kept = incoming?.source === 'taken' ? withoutIncoming(this.writtenState) : this.writtenState;
    this.acceptedState = { ...kept, storeId, session, nonce };
    return hadQueued;
  }

  /** Whether the session that this nonce opens is accepted and not durable yet. */
  isOpening(nonce: string): boolean {
    return this.next.opening === nonce || this.running?.opening === nonce;
  }

  /** A message of the node's link was accepted: it is acknowledged once the next write is synced. */
  accept(session: Session, { link, seq }: Frame): void {
    this.next.acceptedFrame = { session, frame: { link, seq } };
  }

  /** Adds the entries of a message that `checkAppend` has accepted. @returns how many acknowledgements its truncation has dropped */
  append(body: Body<'log-store.append'>, batches: readonly CheckedBatch[], seq: number): number {
    if (this.acceptedState.groupUid === noGroupUid) this.change({ groupUid: body.group_uid });
    this.raiseTerm(body.leader_term, '');
    const dropped = truncates(this.acceptedState, body.truncate_from) ? this.truncate(body.truncate_from) : 0;
    for (const { header, bytes, configuration } of batches) {
      this.next.append(header, bytes);
      this.acceptedState = withBatch(this.acceptedState, header, configuration);
    }
    this.recordCommitIndex(body.commit_index);
    // An append without entries comes with a tick: its acknowledgement confirms the node's session, which leases and echoes wait for.
    if (batches.length === 0) this.next.isUrgent = true;
    this.next.acknowledge({
      leaderId: body.leader_id,
      leaderTerm: body.leader_term,
      groupUid: body.group_uid,
      session: body.session,
      seq,
      matchIndex: body.verified_index,
    });
    return dropped;
  }

  /** Records a new term, or a vote in the current term. */
  vote(term: Term, votedFor: PeerId | ''): void {
    this.next.isUrgent = true;
    invariant(term >= this.acceptedState.term, 'terms never decrease');
    this.raiseTerm(term, votedFor);
    if (this.acceptedState.votedFor === votedFor) return;
    invariant(this.acceptedState.votedFor === '', 'a vote is never changed');
    this.change({ votedFor });
  }

  /** Adds the first chunk of a snapshot, or the next chunk of the incomplete one. */
  chunk(groupId: GroupId, body: Body<'log-store.snapshot_chunk'>): void {
    this.change(withChunk(this.acceptedState, body));
    const slot = this.acceptedState.incoming?.slot ?? 0;
    this.next.putChunk(chunkKey(groupId, slot, body.number), body.chunk);
  }

  /** Makes the snapshot, whose chunks are complete, the current one. @returns how many acknowledgements this has dropped */
  snapshot(body: Body<'log-store.snapshot_end'>): number {
    const { accepted } = this;
    if (accepted.groupUid === noGroupUid) this.change({ groupUid: body.group_uid });
    this.raiseTerm(body.term, '');
    if (!replacesLog(accepted, body)) {
      this.change(withSnapshot(this.acceptedState, body));
      return 0;
    }
    // The snapshot replaces the whole log. Entries up to its index may stay in the storage, because nothing reads entries up to the
    // base. Entries after it are deleted: otherwise they would be read as the end of the log.
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

  /**
   * Has the accepted message acknowledged as soon as the next write is synced, even if that write only adds entries; at once if nothing
   * has to be written.
   */
  acknowledgePromptly(): void {
    this.next.isUrgent = true;
  }

  /**
   * Begins another history of the group, with this entry after the last one, in a new term. Entries that are synced together with it are
   * not acknowledged any more: the leader that sent them belongs to the earlier history.
   * @returns how many acknowledgements this has dropped
   */
  reset(body: Body<'log-store.reset'>, { header, bytes, configuration }: CheckedBatch): number {
    const dropped = this.next.dropAcknowledgementsFrom(asLogIndex(0));
    this.change({ ...withoutIncoming(this.acceptedState), groupUid: body.group_uid });
    this.raiseTerm(body.term, '');
    this.next.append(header, bytes);
    this.acceptedState = withBatch(this.acceptedState, header, configuration);
    return dropped;
  }

  /**
   * Stores whether the peer is read-only, and its quarantine (decision 0070).
   * @param divergedAt the entry after which the node's state differed from the majority's; by default unchanged
   */
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

  /** Records a commit index. It alone needs no write: if it is lost, a leader sends it again. */
  private recordCommitIndex(commitIndex: LogIndex): void {
    const known = asLogIndex(Math.min(commitIndex, this.acceptedState.lastIndex));
    if (known > this.acceptedState.commitIndex) this.acceptedState = { ...this.acceptedState, commitIndex: known };
  }

  // ---- Writing -------------------------------------------------------------------------------------

  /** @returns the next write for the storage; if no change has to be written, the acknowledgements that can be sent at once */
  begin(groupId: GroupId): { readonly write: Write } | { readonly done: WriteBatch } {
    invariant(this.running === undefined, 'at most one write is outstanding');
    const { next } = this;
    this.next = new WriteBatch();
    if (!next.isNeeded) {
      // Nothing has to be synced, so the messages of the link are acknowledged now.
      next.isUrgent = true;
      return { done: next };
    }
    const operations = next.operations(groupId, this.writtenState, this.acceptedState);
    if (next.truncates) this.truncationCount += 1;
    this.running = next;
    this.writtenState = this.acceptedState;
    const { lastIndex, term, votedFor, session } = this.writtenState;
    const group = { group_id: groupId, last_index: lastIndex, term, voted_for: votedFor, session };
    return { write: { operations, group } };
  }

  /** The write in progress is synced. @returns what it contained */
  finish(): WriteBatch {
    const { running } = this;
    invariant(running !== undefined, 'a write is in progress');
    this.running = undefined;
    this.durableState = this.writtenState;
    return running;
  }
}
