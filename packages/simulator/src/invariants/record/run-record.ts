/**
 * What has happened in a run, as far as it can be seen from outside: what was sent, and what became durable. All
 * invariants read it; none of it is asked of the cores that are judged.
 *
 * It hears of everything before the invariants do.
 */
import type { Instant } from '@conclave/actor/core';
import type { StorageOperation } from '@conclave/log-store';
import type { Body, Frame, Message, PeerId } from '@conclave/protocol';
import type { Actor } from '../../mesh/actor.js';
import type { SentHandlers } from '../../mesh/run-observer.js';
import { electionTimeoutOf, FastestClock } from '../../mesh/virtual-clock.js';
import { runBeginsMs } from '../../mesh/virtual-time.js';
import { AcceptedLogs } from './accepted-logs.js';
import { Commits } from './commits.js';
import { type Entry, entryAt, LogTree } from './log-tree.js';
import { ModelStates } from './model-states.js';
import { summaryOf } from './nodes.js';
import { type Change, type StoredLog, StoredLogs } from './stored-logs.js';
import { StoredSnapshots } from './stored-snapshots.js';

/** A peer's time as the leader of a term. */
export interface LeaderOfTerm {
  readonly peerId: PeerId;
  readonly storeId: string;
  readonly term: number;
  readonly firstIndex: number;
  /** Its log when it was elected, and as long as it has led. */
  readonly elected: Entry | undefined;
  last: Entry | undefined;
}

/** The step that is being taken. */
export interface Step {
  readonly actor: Actor;
  /** What was heard, if the input is a message. */
  readonly message: Message | undefined;
  readonly at: Instant;
}

export class RunRecord {
  readonly tree = new LogTree();
  readonly stored = new StoredLogs(this.tree);
  readonly accepted = new AcceptedLogs(this.tree, this.stored);
  readonly commits = new Commits();
  readonly snapshots = new StoredSnapshots();
  readonly states = new ModelStates();
  /** What the clocks of nodes have shown at most. */
  clocks = new FastestClock();
  /** The peer with the longer election timeout. */
  slowerPeer: PeerId | undefined;
  /** When a leader has first appended an entry of its own, in the run's time. */
  private readonly appendedMs = new WeakMap<Entry, number>();
  /** By term; the first, should there be two. */
  readonly leaders = new Map<number, LeaderOfTerm>();
  /** The votes that nodes have told their log-stores, by store and term. */
  private readonly votesTold = new Map<string, string>();
  /** Histories that resets have begun, and which each goes on from. */
  readonly resets = new Map<string, string>();
  /** Histories that a restored backup has begun. */
  readonly restored = new Set<string>();
  /** The backup that the group is to be founded with. */
  restoring: { readonly restoreId: string; readonly last: Entry } | undefined;
  /** What the write that was just synced has changed. */
  change: Change | undefined;
  /** Whether another snapshot counts on that disk since then. */
  isNewSnapshot = false;
  /** The entries that are new with the `append` that was just sent; undefined: it is a repeat. */
  appended: readonly Entry[] | undefined;
  /** Whether the vote that was just sent to a log-store is told for the first time. */
  isNewVote = false;
  /** Whether the election that was just opened at a ballot-box is told for the first time. */
  isNewElection = false;
  /** By store and session: the place of the last one in the links to its ballot-boxes. */
  private readonly electionFrames = new Map<string, Frame>();
  step: Step | undefined;
  /** By a node's core: the store that it has opened. */
  readonly openedStores = new WeakMap<object, string>();

  /** The election timeout of a peer's processes. */
  electionTimeoutMs(peerId: PeerId): number {
    return electionTimeoutOf(peerId, this.slowerPeer);
  }

  readonly sent: SentHandlers = {
    'node.opened': (body) => this.accepted.onOpened(body),
    'feed.append': (body, from) => this.onAppend(body, from),
    'log-store.append': (body, from) => this.onAppend(body, from),
    'log-store.vote': (body) => {
      this.isNewVote = this.accepted.onVote(body);
      if (body.voted_for !== '') this.votesTold.set(`${body.store_id} ${body.term} ${body.voted_for}`, body.voted_for);
    },
    'log-store.reset': (body, from) => this.onReset(body, from),
    'log-store.snapshot_end': (body) => this.onSnapshotEnd(body),
    'ballot-box.elect': (body) => this.onElect(body),
    'ballot-box.lead': (body) => this.onLead(body),
    'feed.committed': (body) => this.onCommitted(body),
  };

  onStepping(actor: Actor, input: unknown, at: Instant): void {
    const { message } = input as { readonly message?: Message };
    this.step = { actor, message, at };
    if (message?.name === 'node.opened' && actor.kind === 'node' && summaryOf(actor).role === 'opening') {
      this.openedStores.set(actor.core, message.body.store_id);
    }
  }

  onWritten(peerId: PeerId, operations: readonly StorageOperation[]): void {
    this.change = this.stored.onWritten(peerId, operations);
    this.isNewSnapshot = this.snapshots.onWritten(peerId, operations);
    const { restoring } = this;
    if (!this.isNewSnapshot || restoring === undefined) return;
    if (this.snapshots.of(peerId)?.snapshot_id === restoring.restoreId) this.onRestored(this.change.store);
  }

  /** A founder begins with the backup: all that it stands for is committed. */
  private onRestored({ meta: { group_uid }, last }: StoredLog): void {
    this.restoring = undefined;
    this.restored.add(group_uid);
    this.commits.continueHistory('', group_uid, last);
  }

  private onSnapshotEnd(body: Body<'log-store.snapshot_end'>): void {
    const { restoring } = this;
    const [told] = body.head.configurations;
    const isRestore = restoring?.restoreId === body.snapshot_id && told !== undefined;
    if (isRestore && this.tree.find(body.group_uid, body.head.index, body.head.term) === undefined) {
      this.tree.restore(body.group_uid, restoring.last, told.configuration);
    }
    this.accepted.onSnapshotEnd(body);
  }

  onWiped(peerId: PeerId): void {
    this.stored.onWiped(peerId);
    this.snapshots.onWiped(peerId);
  }

  private onAppend(body: Body<'log-store.append'>, from: Actor): void {
    this.appended = this.accepted.onAppend(body);
    if (body.leader_id === from.peerId) this.recordAppendTime(this.appended ?? []);
    const leader = this.leaders.get(body.leader_term);
    const isLeaders = leader?.peerId === from.peerId && leader.storeId === body.store_id;
    if (isLeaders && this.appended !== undefined && this.appended.length > 0) leader.last = this.appended.at(-1);
  }

  private recordAppendTime(appended: readonly Entry[]): void {
    const nowMs = (this.step?.at.wallTimeMs ?? 0) - runBeginsMs;
    for (const entry of appended) if (!this.appendedMs.has(entry)) this.appendedMs.set(entry, nowMs);
  }

  /** When its leader has first appended it; undefined: it goes on from another history. */
  firstAppendedMs(entry: Entry): number | undefined {
    return this.appendedMs.get(entry);
  }

  private onReset(body: Body<'log-store.reset'>, from: Actor): void {
    if (!this.accepted.onReset(body)) return;
    this.resets.set(body.group_uid, body.old_group_uid);
    const known = entryAt(this.accepted.of(body)?.last, summaryOf(from).commit_index);
    this.commits.continueHistory(body.old_group_uid, body.group_uid, known);
  }

  private onElect({ store_id, session, link, seq }: Body<'ballot-box.elect'>): void {
    const key = `${store_id} ${session}`;
    const before = this.electionFrames.get(key);
    this.isNewElection = before === undefined || link > before.link || (link === before.link && seq > before.seq);
    if (this.isNewElection) this.electionFrames.set(key, { link, seq });
  }

  private onLead({ term, peer_id, store_id, session, first_index }: Body<'ballot-box.lead'>): void {
    if (this.leaders.has(term)) return;
    const { last } = this.accepted.of({ store_id, session }) ?? {};
    this.leaders.set(term, {
      peerId: peer_id,
      storeId: store_id,
      term,
      firstIndex: first_index,
      elected: last,
      last,
    });
  }

  private onCommitted({ store_id, term, index }: Body<'feed.committed'>): void {
    if (this.commits.isKnown(term, index)) return;
    const groupUid = this.stored.of(store_id)?.meta.group_uid ?? '';
    const entry = this.tree.find(groupUid, index, term);
    if (entry !== undefined) this.commits.add(entry);
  }

  /**
   * Whether a store's vote of a term went to this candidate, and can no longer go to another: it is synced, or a later
   * term is, with which it was synced.
   */
  hasVoted(storeId: string, term: number, candidate: PeerId): boolean {
    const store = this.stored.of(storeId);
    if (store === undefined) return false;
    const synced = store.votes.get(term);
    if (synced !== undefined) return synced === candidate;
    return store.meta.term > term && this.votesTold.has(`${storeId} ${term} ${candidate}`);
  }
}
