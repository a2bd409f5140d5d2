/**
 * Handles the entries that a leader sends to this peer, by its replicator (`node.append_entries`) or on its feed (`feed.append`):
 * the consistency check, truncation, and the message to this peer's log-store.
 * It never acknowledges entries: the log-store does, after the sync.
 * Invariants:
 * 1. No entry at or below the commit index is truncated.
 * 2. Entries are truncated only where their terms conflict (Raft thesis, section 3.5).
 * 3. Each message that is accepted causes exactly one `log-store.append`. It contains the entries of the message that this log
 *    did not have; there may be none.
 */
import {
  asLogIndex,
  type BatchHeader,
  type Body,
  batchFrom,
  batchHeader,
  ConclaveError,
  checkBatch,
  invariant,
  isIn,
  type LogIndex,
  noGroupUid,
  peerIds,
} from '@conclave/protocol';
import type { LocalActors, SessionCheck } from '../local/index.js';
import { build } from '../local/index.js';
import type { RoleControl } from '../role-control.js';
import type { CachedBatch, NodeState } from '../state/index.js';
import type { StepContext } from '../step-context.js';
import type { FeedSubscription } from './feed-subscription.js';
import type { LeaderProbe } from './leader-probe.js';
import type { StoreBinding } from './store-binding.js';

type AppendEntries = Body<'node.append_entries'>;
type Rejection = Body<'replicator.rejected'>['reason'];
/** The fields of AppendEntries and InstallSnapshot that describe the leader. */
export type FromLeader = Pick<
  AppendEntries,
  | 'group_id'
  | 'group_uid'
  | 'leader_id'
  | 'term'
  | 'target_store_id'
  | 'request_id'
  | 'tick_id'
  | 'replaceable_after_ms'
>;
/** The fields of AppendEntries that describe its entries. */
type Entries = Pick<
  AppendEntries,
  'group_uid' | 'leader_id' | 'term' | 'prev_index' | 'prev_term' | 'leader_commit'
> & {
  readonly batches: readonly Uint8Array[];
};

export class AppendEntriesHandler {
  /** The last tick for which `recordSession` has waited for an acknowledgement of the log-store, or still waits. */
  private askedTickId = 0;
  private askedTerm = 0;
  /** The commit index at the last new tick that came with AppendEntries or InstallSnapshot. */
  private committedBefore: LogIndex = asLogIndex(0);

  constructor(
    private readonly context: StepContext,
    private readonly state: NodeState,
    private readonly actors: LocalActors,
    private readonly roles: RoleControl,
    private readonly feed: FeedSubscription,
    private readonly binding: StoreBinding,
    private readonly session: SessionCheck,
    private readonly probe: LeaderProbe,
  ) {}

  /**
   * An append on a leader's feed. It is accepted only from the leader that this peer follows, and only if this log has the preceding
   * entry with the same term. Otherwise it is dropped, and the leader's replicator sends these entries later.
   */
  onFeedAppend(body: Body<'feed.append'>): void {
    const { state, context } = this;
    const isFollowed = state.role === 'follower' && body.leader_id === state.leaderId;
    if (!isFollowed || body.leader_term !== state.term || body.group_uid !== state.groupUid) {
      return context.drop('feed_append_of_other_leader');
    }
    const entries = entriesOf(body);
    const batches = entries === undefined ? undefined : readBatches(entries);
    if (entries === undefined || batches === undefined) return context.drop('feed_append_malformed');
    if (state.log.termAt(entries.prev_index) !== entries.prev_term) return context.drop('feed_append_without_previous');
    if (state.olderCopyReason !== '') return context.drop('feed_append_to_older_copy');
    if (state.readOnlyReason !== '') return context.drop('feed_append_read_only');
    if (state.isLogSuperseded || !this.actors.hasRoom('log-store')) return context.drop('feed_append_busy');
    this.accept(entries, batches, body.traces);
  }

  onAppendEntries(body: AppendEntries): void {
    const { state, context } = this;
    if (!this.isForThisStore(body)) return;
    if (body.term < state.term) return this.refuseOlderTerm(body);
    if (body.group_uid === state.groupUid) state.acknowledged.record(body.acknowledged);
    const batches = readBatches(body);
    if (batches === undefined) return context.drop('append_entries_malformed');
    this.followLeader(body);
    const takesEntries = state.readOnlyReason === '';
    if (body.hear_feed && takesEntries) this.feed.subscribe(body.leader_id);
    else this.feed.unsubscribe();
    if (!takesEntries && batches.length > 0) return this.reject(body, 'read_only');
    if (state.isLogSuperseded || !this.actors.hasRoom('log-store')) return this.reject(body, 'busy');
    // Entries up to the base of this log (its last compacted entry) are committed, so the leader has the same ones.
    const isBelowBase = body.prev_index < state.log.base.index;
    if (!isBelowBase && state.log.termAt(body.prev_index) !== body.prev_term) {
      invariant(body.prev_index > state.commitIndex, `entry ${body.prev_index} is committed and has another term`);
      return this.reject(body, 'mismatch');
    }
    if (batches.length === 0 && state.divergence?.snapshotFrom !== undefined) this.reject(body, 'wants_snapshot');
    this.accept(body, batches);
  }

  /**
   * Follows the sender of InstallSnapshot. Returns false if the message is dropped or rejected: it is for another history or store, of an
   * older term, or malformed, or this store lacks entries that it had acknowledged.
   */
  follow(body: FromLeader): boolean {
    if (!this.isForThisStore(body)) return false;
    if (body.term < this.state.term) {
      this.refuseOlderTerm(body);
      return false;
    }
    this.followLeader(body);
    return true;
  }

  /**
   * Whether the message is for this peer's history of the group and for this store, and this store has all entries that it had
   * acknowledged. If not, drops or rejects the message. A peer without a history accepts the message of any history.
   */
  private isForThisStore(body: FromLeader & Pick<AppendEntries, 'acknowledged_index'>): boolean {
    const { state, context } = this;
    if (state.groupUid !== noGroupUid && body.group_uid !== state.groupUid) {
      context.drop('append_entries_of_other_history');
      return false;
    }
    if (body.group_uid === noGroupUid || body.leader_id === state.peerId) {
      context.drop('append_entries_malformed');
      return false;
    }
    if (body.target_store_id !== state.storeId) {
      if (body.term >= state.term) this.binding.onOther(body);
      this.reject({ ...body, prev_index: asLogIndex(0) }, 'store');
      return false;
    }
    this.binding.onOwn();
    if (body.term >= state.term && this.binding.lacks(body.acknowledged_index, body.leader_id)) {
      this.reject({ ...body, prev_index: asLogIndex(0) }, 'store');
      return false;
    }
    return true;
  }

  private refuseOlderTerm(body: FromLeader): void {
    this.context.drop('append_entries_of_older_term');
    // The reply names the sender's history, because this peer may have none. A peer without a history can have a higher term if it
    // began to found a group and was interrupted.
    this.actors.sendHigherTerm(body.leader_id, body.group_uid);
  }

  /**
   * Follows the sender as the leader of its term. A new tick restarts the election timeout. It is echoed if this node's session is
   * confirmed.
   */
  private followLeader(body: FromLeader): void {
    const { state, roles } = this;
    if (body.term > state.term) roles.raiseTerm(body.term, `${body.leader_id} leads a higher term`);
    invariant(state.role !== 'leader', `${body.leader_id} leads term ${body.term} too`);
    if (state.role !== 'follower') roles.becomeFollower(`${body.leader_id} leads term ${body.term}`);
    if (state.leaderId !== body.leader_id) {
      invariant(state.leaderId === '', `term ${body.term} has two leaders, ${state.leaderId} and ${body.leader_id}`);
      state.followLeader(body.leader_id);
    }
    if (!this.isNewTick(body)) return;
    this.echo(body);
    this.committedBefore = state.commitIndex;
  }

  /** Returns whether the tick is newer than all before; only such a tick restarts the election timeout. */
  private isNewTick(body: Pick<FromLeader, 'leader_id' | 'tick_id' | 'replaceable_after_ms'>): boolean {
    const { state, context } = this;
    if (body.tick_id <= state.lastTickId) return false;
    state.recordTick(body.tick_id);
    state.recordContact(context.nowMs);
    this.probe.onTick(body);
    state.recordElectionBase(context.nowMs);
    return true;
  }

  /**
   * A tick that the leader's node has sent directly, because reads wait at the leader. It is accepted only from the leader that this
   * peer follows. It restarts the election timeout and is echoed, but does nothing else that a heartbeat does.
   */
  onReadTick(body: Body<'node.read_tick'>): void {
    const { state, context } = this;
    const isFollowed = state.role === 'follower' && body.leader_id === state.leaderId && body.term === state.term;
    if (!isFollowed || body.group_uid !== state.groupUid || body.target_store_id !== state.storeId) {
      return context.drop('read_tick_of_other_leader');
    }
    if (this.isNewTick(body)) this.echo(body);
    else context.drop('read_tick_stale');
  }

  /** Echoes a new tick, if this node's session is confirmed at the time when the echo is sent: the term may have to be synced first. */
  private echo(body: Pick<FromLeader, 'group_id' | 'group_uid' | 'leader_id' | 'tick_id'>): void {
    const { state, context, actors } = this;
    const { term } = state;
    const isUnapplied = state.appliedIndex < this.committedBefore;
    actors.whenTermDurable(() => {
      if (!this.session.isConfirmed) return context.drop('echo_of_unconfirmed_session');
      context.send(body.leader_id, {
        name: 'feed.echo',
        body: {
          group_id: body.group_id,
          group_uid: body.group_uid,
          peer_id: state.peerId,
          store_id: state.storeId,
          leader_id: body.leader_id,
          leader_term: term,
          tick_id: body.tick_id,
          session_tick_id: state.sessionTickId,
          hears_feed: this.feed.isReceived(body.leader_id),
          read_only: state.readOnlyReason !== '',
          election_timeout_ms: Math.floor(context.options.electionTimeoutMs),
          ...build(context.options, state),
          ...(state.cannotLead === '' ? {} : { cannot_lead: true }),
          ...(actors.silent().length === 0 ? {} : { lacks_actor: true }),
          ...(isUnapplied ? { unapplied: true } : {}),
          answers_read_ticks: true,
        },
      });
    });
  }

  private reject(body: FromLeader & Pick<AppendEntries, 'prev_index'>, reason: Rejection): void {
    const { state, context, actors } = this;
    const { log } = state;
    const conflicts = reason === 'mismatch' && body.prev_index <= log.lastIndex;
    const message = {
      group_id: body.group_id,
      group_uid: body.group_uid,
      peer_id: state.peerId,
      store_id: state.storeId,
      term: body.term,
      request_id: body.request_id,
      reason,
      last_index: log.lastIndex,
      conflict_term: (conflicts ? log.termAt(body.prev_index) : undefined) ?? (0 as never),
      conflict_index: conflicts ? log.firstOfTermAt(body.prev_index) : asLogIndex(0),
    };
    actors.whenTermDurable(() => context.send(body.leader_id, { name: 'replicator.rejected', body: message }));
  }

  /** @param traces the traces of the requests whose entries these are */
  private accept(body: Entries, batches: readonly CachedBatch[], traces?: string[]): void {
    const { state, actors, roles } = this;
    const verified = batches.at(-1)?.header.last ?? body.prev_index;
    const { fresh, truncateFrom } = this.newEntries(batches);
    if (truncateFrom > 0) this.truncate(truncateFrom);
    if (state.groupUid === noGroupUid) state.enterHistory(body.group_uid);
    for (const batch of fresh) this.append(batch, body.leader_commit);
    // The log now equals the leader's up to the leader's commit index, whatever this store had lost.
    const isVerified = state.wasUnverified && verified >= body.leader_commit;
    if (isVerified) state.verify();
    actors.sendAppendToLogStore({
      ...(isVerified ? { verified: true } : {}),
      ...(traces === undefined ? {} : { traces }),
      group_uid: body.group_uid,
      leader_id: body.leader_id,
      leader_term: body.term,
      verified_index: verified,
      truncate_from: truncateFrom,
      commit_index: state.commitIndex,
      batches: fresh.map(({ bytes }) => bytes),
    });
    this.recordSession();
    state.committedEntriesLacked = Math.max(0, body.leader_commit - verified);
    state.committedEntriesLackedMs = this.context.nowMs;
    roles.commitTo(asLogIndex(Math.min(body.leader_commit, verified)));
  }

  /**
   * When the log-store acknowledges the message that it was just sent, records that this node's session was still the current one
   * after the last tick.
   */
  private recordSession(): void {
    const { state, actors } = this;
    const { term, lastTickId } = state;
    const { nowMs } = this.context;
    if (lastTickId === this.askedTickId && term === this.askedTerm) return;
    this.askedTickId = lastTickId;
    this.askedTerm = term;
    actors.afterSynced(() => {
      this.session.recordConfirmed(nowMs);
      if (state.term === term) state.recordSessionTick(lastTickId);
    });
  }

  /**
   * Returns the entries that this log does not have (`fresh`), and the index from which on this log must be truncated because its
   * entries conflict with them (0: none do).
   */
  private newEntries(batches: readonly CachedBatch[]): { fresh: CachedBatch[]; truncateFrom: LogIndex } {
    const { log } = this.state;
    for (const [at, batch] of batches.entries()) {
      const from = this.firstNew(batch.header);
      if (from > batch.header.last) continue;
      const rest = { header: { ...batch.header, first: from }, bytes: batchFrom(batch.bytes, from) };
      return { fresh: [rest, ...batches.slice(at + 1)], truncateFrom: from <= log.lastIndex ? from : asLogIndex(0) };
    }
    return { fresh: [], truncateFrom: asLogIndex(0) };
  }

  /**
   * Returns the index of the first entry of the batch that this log lacks or has with another term; an index after the batch if this
   * log has all its entries.
   */
  private firstNew(header: BatchHeader): LogIndex {
    const { log } = this.state;
    let index = asLogIndex(Math.max(header.first, log.firstIndex));
    while (index <= header.last && log.termAt(index) === header.term) index = asLogIndex(log.lastOfTermAt(index) + 1);
    return index;
  }

  private truncate(from: LogIndex): void {
    const { state, context } = this;
    invariant(from > state.commitIndex, `entry ${from} is committed and conflicts with the leader's`);
    const removed = state.log.truncateFrom(from);
    for (const { index } of removed) state.newConfigurations.delete(index);
    const effective = state.log.configuration;
    if (removed.length === 0 || effective === undefined) return;
    context.event('configuration_truncated', {
      peers: peerIds(effective.configuration.peers),
      old_peers: peerIds(effective.configuration.old_peers),
      index: effective.index,
    });
  }

  private append(batch: CachedBatch, leaderCommit: LogIndex): void {
    const { state, context } = this;
    const configuration = state.log.append(batch);
    if (configuration === undefined) return;
    if (batch.header.first > leaderCommit) {
      state.newConfigurations.add(batch.header.first);
      context.event('configuration_appended', {
        peers: peerIds(configuration.peers),
        old_peers: peerIds(configuration.old_peers),
        index: batch.header.first,
      });
    }
    if (!isIn(configuration, state.peerId, state.storeId)) {
      context.log('info', 'a configuration without this peer is effective', { index: batch.header.first });
    }
  }
}

/** Returns the entries of an append on the feed, with the fields that AppendEntries has; undefined: there are none, or the first batch is malformed. */
function entriesOf(body: Body<'feed.append'>): Entries | undefined {
  const [first] = body.batches;
  if (first === undefined) return undefined;
  const { group_uid, leader_id, leader_term: term, prev_term, commit_index: leader_commit, batches } = body;
  try {
    const prev_index = asLogIndex(batchHeader(first).first - 1);
    return { group_uid, leader_id, term, prev_index, prev_term, leader_commit, batches };
  } catch (error) {
    if (error instanceof ConclaveError) return undefined;
    throw error;
  }
}

/**
 * Returns the batches with their headers; undefined unless they follow `prev_index` without a gap, and their terms never fall and
 * are at most the leader's.
 */
function readBatches(body: Entries): CachedBatch[] | undefined {
  const batches: CachedBatch[] = [];
  let index: number = body.prev_index;
  let term: number = body.prev_term;
  try {
    for (const bytes of body.batches) {
      const header = checkBatch(bytes);
      if (header.first !== index + 1 || header.term < term || header.term > body.term) return undefined;
      batches.push({ header, bytes });
      index = header.last;
      term = header.term;
    }
  } catch (error) {
    if (error instanceof ConclaveError) return undefined;
    throw error;
  }
  return body.prev_term > body.term ? undefined : batches;
}
