/**
 * What has happened in a run, as seen from outside: what was sent, and what became durable. All invariants read it;
 * nothing in it comes from the cores that are checked.
 *
 * It is updated before the invariants are called.
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

/** A peer as the leader of a term. */
export interface LeaderOfTerm {
  readonly peerId: PeerId;
  readonly storeId: string;
  readonly term: number;
  readonly firstIndex: number;
  /** The last entry of its log: when it was elected, and now. */
  readonly elected: Entry | undefined;
  last: Entry | undefined;
}

/** The step in progress. */
export interface Step {
  readonly actor: Actor;
  /** The type of the input; of a message, its name. */
  readonly input: string;
  /** The received message, if the input is one. */
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
  /** An upper bound of the clocks of all nodes. */
  clocks = new FastestClock();
  /** The peer with the longer election timeout. */
  slowerPeer: PeerId | undefined;
  /** By entry: when a leader first appended it, in the run's time. */
  private readonly appendedMs = new WeakMap<Entry, number>();
  /** By term; if there are two, the first. */
  readonly leaders = new Map<number, LeaderOfTerm>();
  /** The votes that nodes have sent to their log-stores, by store and term. */
  private readonly sentVotes = new Map<string, string>();
  /** By history that a reset has begun: the one that it continues. */
  readonly resets = new Map<string, string>();
  /** Histories that began with a restored backup. */
  readonly restored = new Set<string>();
  /** The backup from which the group will be created. */
  restoring: { readonly restoreId: string; readonly last: Entry } | undefined;
  /** The changes of the write that was just synced. */
  change: Change | undefined;
  /** Whether that write made another snapshot current. */
  isNewSnapshot = false;
  /** The new entries in the `append` that was just sent; undefined: it is a repeat. */
  appended: readonly Entry[] | undefined;
  /** Whether the vote that was just sent to a log-store is sent for the first time. */
  isNewVote = false;
  /** Whether the election that was just sent to a ballot-box is sent for the first time. */
  isNewElection = false;
  /** By store and session: the link and number of the last one. */
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
      if (body.voted_for !== '') this.sentVotes.set(`${body.store_id} ${body.term} ${body.voted_for}`, body.voted_for);
    },
    'log-store.reset': (body, from) => this.onReset(body, from),
    'log-store.snapshot_end': (body) => this.onSnapshotEnd(body),
    'ballot-box.elect': (body) => this.onElect(body),
    'ballot-box.lead': (body) => this.onLead(body),
    'feed.committed': (body) => this.onCommitted(body),
  };

  onStepping(actor: Actor, input: unknown, at: Instant): Step {
    const { type, message } = input as { readonly type: string; readonly message?: Message };
    this.step = { actor, input: message?.name ?? type, message, at };
    if (message?.name === 'node.opened' && actor.kind === 'node' && summaryOf(actor).role === 'opening') {
      this.openedStores.set(actor.core, message.body.store_id);
    }
    return this.step;
  }

  onWritten(peerId: PeerId, operations: readonly StorageOperation[]): void {
    this.change = this.stored.onWritten(peerId, operations);
    this.isNewSnapshot = this.snapshots.onWritten(peerId, operations);
    const { restoring } = this;
    if (!this.isNewSnapshot || restoring === undefined) return;
    if (this.snapshots.of(peerId)?.snapshot_id === restoring.restoreId) this.onRestored(this.change.store);
  }

  /** A founder begins with the backup: all that it covers is committed. */
  private onRestored({ meta: { group_uid }, last }: StoredLog): void {
    this.restoring = undefined;
    this.restored.add(group_uid);
    this.commits.continueHistory('', group_uid, last);
  }

  private onSnapshotEnd(body: Body<'log-store.snapshot_end'>): void {
    const { restoring } = this;
    const [first] = body.head.configurations;
    const isRestore = restoring?.restoreId === body.snapshot_id && first !== undefined;
    if (isRestore && this.tree.find(body.group_uid, body.head.index, body.head.term) === undefined) {
      this.tree.restore(body.group_uid, restoring.last, first.configuration);
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
    const isOfLeader = leader?.peerId === from.peerId && leader.storeId === body.store_id;
    if (isOfLeader && this.appended !== undefined && this.appended.length > 0) leader.last = this.appended.at(-1);
  }

  private recordAppendTime(appended: readonly Entry[]): void {
    const nowMs = (this.step?.at.wallTimeMs ?? 0) - runBeginsMs;
    for (const entry of appended) if (!this.appendedMs.has(entry)) this.appendedMs.set(entry, nowMs);
  }

  /** Returns when its leader first appended it; undefined: it is from an earlier history. */
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

  /** Whether the leader of this term needs no other peer: its configuration has one peer. */
  leadsAlone(term: number): boolean {
    const configuration = this.leaders.get(term)?.last?.effective?.configuration;
    return configuration?.peers.length === 1 && configuration.old_peers.length === 0;
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
   * Whether a store's vote of a term was given to this candidate and can no longer be given to another: the vote is
   * synced, or a later term is, with which the vote was synced.
   */
  hasVoted(storeId: string, term: number, candidate: PeerId): boolean {
    const store = this.stored.of(storeId);
    if (store === undefined) return false;
    const synced = store.votes.get(term);
    if (synced !== undefined) return synced === candidate;
    return store.meta.term > term && this.sentVotes.has(`${storeId} ${term} ${candidate}`);
  }
}
