/**
 * A follower's side of InstallSnapshot: the leader sends its snapshot in the place of entries that its log no longer
 * has (Raft thesis, section 5.3).
 *
 * Owns which snapshot comes in, and how much of it the log-store was given. Does not own the chunks: these go straight
 * to the log-store, which keeps them also over a crash, so that a transfer goes on from the last one (promise 19).
 *
 * Invariants:
 * 1. One snapshot comes in at a time. Another one takes its place only if it is of a higher term's leader, or of this
 *    term's and of no older entry.
 * 2. Chunks are handed on in order of their numbers, each once.
 * 3. What is told as stored is synced.
 * 4. Behind the end of a snapshot nothing is given to the log-store that builds on the log from before.
 * 5. Once the snapshot counts the node begins anew, and restores its state from it: how long that takes is nobody's
 *    timeout.
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
import type { AppendEntriesHandler } from './append-entries.js';
import type { NodeContext } from './context.js';
import type { OwnActors } from './own-actors.js';
import { type NodeState, needsLevel } from './state.js';

type InstallSnapshot = Body<'node.install_snapshot'>;

interface Incoming {
  readonly snapshotId: SnapshotId;
  /** Unknown after a start, until the leader sends on. */
  head: SnapshotHead | undefined;
  /** Of whom it comes, and in which term; of an earlier session: 0. */
  leaderId: PeerId | '';
  term: Term;
  /** When its leader was last heard of it. */
  heardMs: number;
  /** How many chunks the log-store was given: the number of the next one. */
  given: number;
  /** Its end, in the link to the log-store. */
  endSeq: number | undefined;
}

export interface InstallListener {
  /** A snapshot comes in: none is to be taken meanwhile. */
  onBegun(): void;
  /** It counts: the log and the state begin behind it. */
  onInstalled(): void;
}

export class Install {
  private incoming: Incoming | undefined;

  constructor(
    private readonly context: NodeContext,
    private readonly state: NodeState,
    private readonly own: OwnActors,
    private readonly leaderMessages: AppendEntriesHandler,
    private readonly listener: InstallListener,
  ) {}

  /** The log-store is open, and holds so much of a snapshot that was coming in. */
  onOpened(installing: Body<'node.opened'>['installing']): void {
    if (installing === null) return;
    this.incoming = {
      snapshotId: installing.snapshot_id,
      head: undefined,
      leaderId: '',
      term: 0 as Term,
      heardMs: Number.NEGATIVE_INFINITY,
      given: installing.stored,
      endSeq: undefined,
    };
  }

  /**
   * Whether one comes in, and its leader has been heard of it lately; or its end is on the way to the log-store, which
   * nothing takes back, however long its disk takes.
   */
  get isGoingOn(): boolean {
    if (this.incoming?.endSeq !== undefined) return true;
    if (this.incoming === undefined || this.isNeeded(this.incoming.head) === false) return false;
    return this.context.nowMs - this.incoming.heardMs < 2 * this.context.options.electionTimeoutMs;
  }

  status(): StatusReply['installing'] {
    const head = this.incoming?.head;
    if (this.incoming === undefined || head === undefined || !this.isGoingOn) return null;
    const done = this.incoming.given;
    return { index: head.index, chunks: head.chunks, done, percent: snapshotPercent(done, head.chunks) };
  }

  onInstallSnapshot(body: InstallSnapshot): void {
    const { context } = this;
    if (body.head.chunks === 0 || body.head.configurations.length === 0) return context.drop('install_malformed');
    if (!this.leaderMessages.follow(body)) return;
    const needed = needsLevel(snapshotLevel(body.head), this.state.levels, 'this process');
    if (needed !== '') return this.refuseLevel(needed);
    if (!this.isNeeded(body.head)) return this.answer(body, body.head.chunks, true);
    // The leader hears of it with the next echo.
    if (this.state.readOnlyReason !== '') return context.drop('install_read_only');
    const incoming = this.incomingFor(body);
    if (incoming === undefined) return;
    incoming.heardMs = context.nowMs;
    this.giveOn(incoming, body);
    this.sendEndIfDue(incoming, body);
    this.answer(body, incoming.given, false);
  }

  /** The group's snapshot cannot be read here: it is not installed, and nothing else gets this peer on. */
  private refuseLevel(needed: string): void {
    this.state.stopped = `does not install the leader’s snapshot: ${needed}`;
    this.context.drop('install_above_level');
  }

  /** The log-store drops what it holds of it, as this peer takes a snapshot of its own. None may be going on. */
  forget(): void {
    invariant(this.incoming?.endSeq === undefined, 'a snapshot whose end was given is not forgotten');
    this.incoming = undefined;
  }

  /** The log-store has synced something: perhaps the end. */
  onSynced(): void {
    const { incoming, context, own } = this;
    if (incoming?.endSeq === undefined || incoming.head === undefined || own.syncedSeq < incoming.endSeq) return;
    const { index, chunks, bytes } = incoming.head;
    this.incoming = undefined;
    if (incoming.leaderId !== '') {
      context.event('snapshot_installed', { leader_id: incoming.leaderId, index, chunks, bytes });
    }
    context.log('info', 'a snapshot is installed', { index, bytes });
    this.listener.onInstalled();
  }

  /** Whether the snapshot has more than what is committed here, or mends the state; undefined: not known. */
  private isNeeded(head: SnapshotHead | undefined): boolean | undefined {
    if (head === undefined) return undefined;
    const { divergence, commitIndex } = this.state;
    if (divergence?.snapshotFrom !== undefined && head.index >= divergence.snapshotFrom) return true;
    return head.index > commitIndex;
  }

  /** The snapshot that this message is of, begun if that is due; undefined: it is of one that was given up. */
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
      heardMs: context.nowMs,
      given: 0,
      endSeq: undefined,
    };
    return this.incoming;
  }

  /** Hands the chunk to the log-store, if it is the next one. */
  private giveOn(incoming: Incoming, body: InstallSnapshot): void {
    const { own, context } = this;
    const { snapshot_id, number, chunk } = body;
    if (chunk.length === 0) return;
    if (number !== incoming.given || number >= body.head.chunks) return context.drop('install_chunk_not_next');
    if (!own.hasRoom('log-store')) return context.drop('install_chunk_busy');
    if (!isChunkOf(body)) return context.drop('install_malformed');
    own.sendFramed(
      'log-store',
      (frame) => ({
        name: 'log-store.snapshot_chunk',
        body: { ...own.own, ...frame, snapshot_id, source: 'installed', number, chunk },
      }),
      chunk.length,
    );
    incoming.given += 1;
  }

  private sendEndIfDue(incoming: Incoming, body: InstallSnapshot): void {
    const { own } = this;
    const { head, snapshot_id, group_uid, term } = body;
    if (incoming.given < head.chunks || incoming.endSeq !== undefined || !own.hasRoom('log-store')) return;
    // What would be appended from now on, to the log as this node knows it, would not fit the one that comes.
    this.state.isLogLeft = true;
    incoming.endSeq = own.sendFramed('log-store', (frame) => ({
      name: 'log-store.snapshot_end',
      body: {
        ...own.own,
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

  /** Tells the leader how much is stored, once that is so. */
  private answer(body: InstallSnapshot, stored: number, installed: boolean): void {
    const { own, context, state } = this;
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
    if (installed) own.speak(send);
    else own.afterSynced(send);
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
