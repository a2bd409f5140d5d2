/**
 * A follower's side of InstallSnapshot: the leader sends its snapshot instead of entries that its log no longer has (Raft thesis,
 * section 5.3).
 * Owns: which snapshot is received, and which chunks the log-store was sent. Does not own the chunks: the log-store keeps them,
 * also over a crash, so that a transfer resumes after the last one (promise 19).
 * Invariants:
 * 1. One snapshot is received at a time. Another one replaces it only if it is of a leader of a higher term, or of this term's
 *    and of no older entry.
 * 2. Chunks are passed on in order of their numbers, each once.
 * 3. A chunk is reported as stored only once it is synced.
 * 4. After the end of a snapshot the log-store is sent nothing that depends on the previous log.
 * 5. Once the snapshot is current the node restarts, and restores its state from it: no timeout depends on how long that takes.
 */
import {
  type Body,
  ConclaveError,
  decodeSnapshotChunk,
  invariant,
  type PeerId,
  type SnapshotHead,
  type SnapshotId,
  type StatusReply,
  snapshotLevel,
  snapshotPercent,
  type Term,
} from '@conclave/protocol';
import type { AppendEntriesHandler } from '../follower/index.js';
import type { LocalActors } from '../local/index.js';
import { type NodeState, needsLevel } from '../state/index.js';
import type { StepContext } from '../step-context.js';

type InstallSnapshot = Body<'node.install_snapshot'>;

interface Incoming {
  readonly snapshotId: SnapshotId;
  /** Unknown after a start, until the leader sends the next chunk. */
  head: SnapshotHead | undefined;
  /** Its leader, and that leader's term; of an earlier session: 0. */
  leaderId: PeerId | '';
  term: Term;
  /** When its leader last sent a chunk of it. */
  receivedMs: number;
  /** How many chunks the log-store was sent: the number of the next one. */
  given: number;
  /** The place of its end in the link to the log-store. */
  endSeq: number | undefined;
}

export interface InstallListener {
  /** A snapshot is being received: this peer must not take one. */
  onBegun(): void;
  /** It is current: the log and the state begin after it. */
  onInstalled(): void;
}

export class SnapshotReceiver {
  private incoming: Incoming | undefined;

  constructor(
    private readonly context: StepContext,
    private readonly state: NodeState,
    private readonly actors: LocalActors,
    private readonly leaderMessages: AppendEntriesHandler,
    private readonly listener: InstallListener,
  ) {}

  /** The log-store is open, and holds this part of a snapshot that was being received. */
  onOpened(installing: Body<'node.opened'>['installing']): void {
    if (installing === null) return;
    this.incoming = {
      snapshotId: installing.snapshot_id,
      head: undefined,
      leaderId: '',
      term: 0 as Term,
      receivedMs: Number.NEGATIVE_INFINITY,
      given: installing.stored,
      endSeq: undefined,
    };
  }

  /**
   * Whether one is being received, and its leader has sent some of it lately; or its end was sent to the log-store, which cannot
   * be revoked, however slow its disk is.
   */
  get isInProgress(): boolean {
    if (this.incoming?.endSeq !== undefined) return true;
    if (this.incoming === undefined || this.isNeeded(this.incoming.head) === false) return false;
    return this.context.nowMs - this.incoming.receivedMs < 2 * this.context.options.electionTimeoutMs;
  }

  status(): StatusReply['installing'] {
    const head = this.incoming?.head;
    if (this.incoming === undefined || head === undefined || !this.isInProgress) return null;
    const done = this.incoming.given;
    return { index: head.index, chunks: head.chunks, done, percent: snapshotPercent(done, head.chunks) };
  }

  onInstallSnapshot(body: InstallSnapshot): void {
    const { context } = this;
    if (body.head.chunks === 0 || body.head.configurations.length === 0) return context.drop('install_malformed');
    if (!this.leaderMessages.follow(body)) return;
    const needed = needsLevel(snapshotLevel(body.head), this.state.levels, 'this process');
    if (needed !== '') return this.refuseLevel(needed);
    if (!this.isNeeded(body.head)) return this.reportStored(body, body.head.chunks, true);
    // The next echo informs the leader.
    if (this.state.readOnlyReason !== '') return context.drop('install_read_only');
    const incoming = this.incomingFor(body);
    if (incoming === undefined) return;
    incoming.receivedMs = context.nowMs;
    this.passOn(incoming, body);
    this.sendEndIfDue(incoming, body);
    this.reportStored(body, incoming.given, false);
  }

  /** This process cannot read the group's snapshot: it is not installed, and this peer cannot make progress without it. */
  private refuseLevel(needed: string): void {
    this.state.stopApplying(`does not install the leader’s snapshot: ${needed}`);
    this.context.drop('install_above_level');
  }

  /** The log-store deletes what it has received, as this peer takes a snapshot of its own. None may be being received. */
  forget(): void {
    invariant(this.incoming?.endSeq === undefined, 'a snapshot whose end was given is not forgotten');
    this.incoming = undefined;
  }

  /** The log-store has synced something: perhaps the end. */
  onSynced(): void {
    const { incoming, context, actors } = this;
    if (incoming?.endSeq === undefined || incoming.head === undefined || actors.syncedSeq < incoming.endSeq) return;
    const { index, chunks, bytes } = incoming.head;
    this.incoming = undefined;
    if (incoming.leaderId !== '') {
      context.event('snapshot_installed', { leader_id: incoming.leaderId, index, chunks, bytes });
    }
    context.log('info', 'a snapshot is installed', { index, bytes });
    this.listener.onInstalled();
  }

  /** Whether the snapshot has more than what is committed here, or repairs the state; undefined: not known. */
  private isNeeded(head: SnapshotHead | undefined): boolean | undefined {
    if (head === undefined) return undefined;
    const { divergence, commitIndex } = this.state;
    if (divergence?.snapshotFrom !== undefined && head.index >= divergence.snapshotFrom) return true;
    return head.index > commitIndex;
  }

  /** Returns the snapshot of this message, and begins it if necessary; undefined: it was given up. */
  private incomingFor(body: InstallSnapshot): Incoming | undefined {
    const { incoming, context } = this;
    if (incoming?.snapshotId === body.snapshot_id) {
      incoming.head ??= body.head;
      if (incoming.head.checksum !== body.head.checksum || incoming.head.chunks !== body.head.chunks) {
        context.drop('install_malformed');
        return undefined;
      }
      if (incoming.leaderId === '') this.listener.onBegun();
      incoming.leaderId = body.leader_id;
      incoming.term = body.term;
      return incoming;
    }
    const isOlder = incoming?.term === body.term && body.head.index < (incoming.head?.index ?? 0);
    if (isOlder || incoming?.endSeq !== undefined) {
      context.drop('install_of_older_snapshot');
      return undefined;
    }
    this.listener.onBegun();
    context.log('info', 'the leader installs a snapshot', { index: body.head.index, bytes: body.head.bytes });
    this.incoming = {
      snapshotId: body.snapshot_id,
      head: body.head,
      leaderId: body.leader_id,
      term: body.term,
      receivedMs: context.nowMs,
      given: 0,
      endSeq: undefined,
    };
    return this.incoming;
  }

  /** Sends the chunk to the log-store, if it is the next one. */
  private passOn(incoming: Incoming, body: InstallSnapshot): void {
    const { actors, context } = this;
    const { snapshot_id, number, chunk } = body;
    if (chunk.length === 0) return;
    if (number !== incoming.given || number >= body.head.chunks) return context.drop('install_chunk_not_next');
    if (!actors.hasRoom('log-store')) return context.drop('install_chunk_busy');
    if (!isChunkOf(body)) return context.drop('install_malformed');
    actors.sendFramed(
      'log-store',
      (frame) => ({
        name: 'log-store.snapshot_chunk',
        body: { ...actors.identity, ...frame, snapshot_id, source: 'installed', number, chunk },
      }),
      chunk.length,
    );
    incoming.given += 1;
  }

  private sendEndIfDue(incoming: Incoming, body: InstallSnapshot): void {
    const { actors } = this;
    const { head, snapshot_id, group_uid, term } = body;
    if (incoming.given < head.chunks || incoming.endSeq !== undefined || !actors.hasRoom('log-store')) return;
    // An append to the log as this node knows it would not fit the log after the snapshot.
    this.state.isLogSuperseded = true;
    incoming.endSeq = actors.sendFramed('log-store', (frame) => ({
      name: 'log-store.snapshot_end',
      body: {
        ...actors.identity,
        ...frame,
        snapshot_id,
        source: 'installed',
        group_uid,
        term,
        head,
        compact_to: head.index,
      },
    }));
  }

  /** Reports to the leader how much is stored, once it is synced. */
  private reportStored(body: InstallSnapshot, stored: number, installed: boolean): void {
    const { actors, context, state } = this;
    const message = {
      group_id: body.group_id,
      group_uid: body.group_uid,
      peer_id: state.peerId,
      store_id: state.storeId,
      term: body.term,
      request_id: body.request_id,
      snapshot_id: body.snapshot_id,
      stored,
      installed,
    };
    const send = (): void => context.send(body.leader_id, { name: 'replicator.snapshot_stored', body: message });
    if (installed) actors.whenTermDurable(send);
    else actors.afterSynced(send);
  }
}

function isChunkOf({ chunk, head, number }: InstallSnapshot): boolean {
  try {
    const read = decodeSnapshotChunk(chunk);
    return read.index === head.index && read.number === number;
  } catch (error) {
    if (error instanceof ConclaveError) return false;
    throw error;
  }
}
