/**
 * How a node takes AppendEntries: the consistency check, truncation, and what it hands to its log-store.
 * It never acknowledges by itself: the log-store does, after the sync (DESIGN, section 5).
 *
 * Invariants:
 * 1. Nothing at or below the commit index is truncated.
 * 2. Entries are truncated only where their terms conflict (Raft thesis, section 3.5).
 * 3. Every AppendEntries that is accepted causes one `append`, with the entries that are new, or none.
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
import { build } from './build.js';
import type { NodeContext } from './context.js';
import type { NodeHub } from './hub.js';
import type { LeaderFeed } from './leader-feed.js';
import type { CachedBatch } from './log-view.js';
import type { OwnActors } from './own-actors.js';
import type { OwnSession } from './own-session.js';
import type { NodeState } from './state.js';
import type { StoreBinding } from './store-binding.js';

type AppendEntries = Body<'node.append_entries'>;
type Rejection = Body<'replicator.rejected'>['reason'];
/** What a leader says of itself in AppendEntries and InstallSnapshot. */
export type FromLeader = Pick<
  AppendEntries,
  'group_id' | 'group_uid' | 'leader_id' | 'term' | 'target_store_id' | 'request_id' | 'tick_id'
>;
/** What of it says which entries these are. */
type Entries = Pick<
  AppendEntries,
  'group_uid' | 'leader_id' | 'term' | 'prev_index' | 'prev_term' | 'leader_commit'
> & {
  readonly batches: readonly Uint8Array[];
};

export class AppendEntriesHandler {
  /** The last tick for which `noteSession` waits, or has waited. */
  private askedTickId = 0;
  private askedTerm = 0;
  /** Up to where entries were known committed when the last tick was echoed. */
  private committedBefore: LogIndex = asLogIndex(0);

  constructor(
    private readonly context: NodeContext,
    private readonly state: NodeState,
    private readonly own: OwnActors,
    private readonly hub: NodeHub,
    private readonly leaderFeed: LeaderFeed,
    private readonly binding: StoreBinding,
    private readonly session: OwnSession,
  ) {}

  /**
   * A leader's append as its own actors hear it. It counts only from who is followed already, and where it follows
   * on this log: all else is left to the leader's replicator.
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
    if (state.log.termAt(entries.prev_index) !== entries.prev_term) return context.drop('feed_append_not_in_step');
    if (state.wentBack !== '') return context.drop('feed_append_to_older_copy');
    if (state.readOnlyReason !== '') return context.drop('feed_append_read_only');
    if (state.isLogLeft || !this.own.hasRoom('log-store')) return context.drop('feed_append_busy');
    this.accept(entries, batches);
  }

  onAppendEntries(body: AppendEntries): void {
    const { state, context } = this;
    if (!this.isForThisStore(body)) return;
    if (body.term < state.term) return this.refuseOlderTerm(body);
    if (body.group_uid === state.groupUid) state.acknowledged.note(body.acknowledged);
    const batches = readBatches(body);
    if (batches === undefined) return context.drop('append_entries_malformed');
    this.followLeader(body);
    const takesEntries = state.readOnlyReason === '';
    this.leaderFeed.hear(body.hear_feed && takesEntries ? body.leader_id : '');
    if (!takesEntries && batches.length > 0) return this.reject(body, 'read_only');
    if (state.isLogLeft || !this.own.hasRoom('log-store')) return this.reject(body, 'busy');
    // Up to the base all is committed, so it is the leader's, too.
    const isBelowBase = body.prev_index < state.log.base.index;
    if (!isBelowBase && state.log.termAt(body.prev_index) !== body.prev_term) {
      invariant(body.prev_index > state.commitIndex, `entry ${body.prev_index} is committed and has another term`);
      return this.reject(body, 'mismatch');
    }
    if (batches.length === 0 && state.divergence?.snapshotFrom !== undefined) this.reject(body, 'wants_snapshot');
    this.accept(body, batches);
  }

  /** Follows the sender of another message than AppendEntries; false where it is not meant for this store, or too old. */
  follow(body: FromLeader): boolean {
    if (!this.isForThisStore(body)) return false;
    if (body.term < this.state.term) {
      this.refuseOlderTerm(body);
      return false;
    }
    this.followLeader(body);
    return true;
  }

  /** Whether the message is meant for this group's history and this store. An empty store takes the history on. */
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
    // In the sender's history: who holds nothing yet may have a term, too, of a founding that was cut short.
    this.own.tellHigherTerm(body.leader_id, body.group_uid);
  }

  /** Takes the sender for the leader of its term; a new tick of it renews the election timer and is echoed. */
  private followLeader(body: FromLeader): void {
    const { state, context, own, hub } = this;
    if (body.term > state.term) hub.raiseTerm(body.term, `${body.leader_id} leads a higher term`);
    invariant(state.role !== 'leader', `${body.leader_id} leads term ${body.term} too`);
    if (state.role !== 'follower') hub.becomeFollower(`${body.leader_id} leads term ${body.term}`);
    if (state.leaderId !== body.leader_id) {
      invariant(state.leaderId === '', `term ${body.term} has two leaders, ${state.leaderId} and ${body.leader_id}`);
      state.leaderId = body.leader_id;
    }
    if (body.tick_id <= state.lastTickId) return;
    state.lastTickId = body.tick_id;
    state.leaderContactMs = context.nowMs;
    state.electionBaseMs = context.nowMs;
    if (!this.session.isSure) return context.drop('echo_unsure_of_session');
    const { term } = state;
    const isUnapplied = state.appliedIndex < this.committedBefore;
    this.committedBefore = state.commitIndex;
    own.speak(() =>
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
          hears_feed: this.leaderFeed.isHeard(body.leader_id),
          read_only: state.readOnlyReason !== '',
          election_timeout_ms: Math.floor(context.options.electionTimeoutMs),
          ...build(context.options, state),
          ...(state.cannotLead === '' ? {} : { cannot_lead: true }),
          ...(own.silent().length === 0 ? {} : { lacks_actor: true }),
          ...(isUnapplied ? { unapplied: true } : {}),
        },
      }),
    );
  }

  private reject(body: FromLeader & Pick<AppendEntries, 'prev_index'>, reason: Rejection): void {
    const { state, context, own } = this;
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
    own.speak(() => context.send(body.leader_id, { name: 'replicator.rejected', body: message }));
  }

  private accept(body: Entries, batches: readonly CachedBatch[]): void {
    const { state, own, hub } = this;
    const verified = batches.at(-1)?.header.last ?? body.prev_index;
    const { fresh, truncateFrom } = this.newEntries(batches);
    if (truncateFrom > 0) this.truncate(truncateFrom);
    if (state.groupUid === noGroupUid) state.groupUid = body.group_uid;
    for (const batch of fresh) this.append(batch, body.leader_commit);
    // Whatever the store may have lost, all that is committed is there now.
    const isVerified = state.wasUnverified && verified >= body.leader_commit;
    if (isVerified) state.isUnverified = false;
    own.sendAppendToLogStore({
      ...(isVerified ? { verified: true } : {}),
      group_uid: body.group_uid,
      leader_id: body.leader_id,
      leader_term: body.term,
      verified_index: verified,
      truncate_from: truncateFrom,
      commit_index: state.commitIndex,
      batches: fresh.map(({ bytes }) => bytes),
    });
    this.noteSession();
    // More is on its way.
    const { nowMs, options } = this.context;
    state.storesFirstUntilMs = verified < body.leader_commit ? nowMs + options.heartbeatIntervalMs : 0;
    hub.commitTo(asLogIndex(Math.min(body.leader_commit, verified)));
  }

  /** Once what has just been sent to the log-store is acknowledged, that was in this session after the last tick came. */
  private noteSession(): void {
    const { state, own } = this;
    const { term, lastTickId } = state;
    const { nowMs } = this.context;
    if (lastTickId === this.askedTickId && term === this.askedTerm) return;
    this.askedTickId = lastTickId;
    this.askedTerm = term;
    own.afterSynced(() => {
      this.session.wasSure(nowMs);
      if (state.term === term) state.sessionTickId = Math.max(state.sessionTickId, lastTickId);
    });
  }

  /** Which of the entries are new, and from where on the own ones conflict with them (0: nowhere). */
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

  /** The first entry of the batch that this log lacks or has with another term; past the last: it has them all. */
  private firstNew(header: BatchHeader): LogIndex {
    const { log } = this.state;
    let index = asLogIndex(Math.max(header.first, log.firstIndex));
    while (index <= header.last && log.termAt(index) === header.term) index = asLogIndex(log.lastOfTermAt(index) + 1);
    return index;
  }

  private truncate(from: LogIndex): void {
    const { state, context } = this;
    invariant(from > state.commitIndex, `entry ${from} is committed and conflicts with the leader's`);
    const gone = state.log.truncateFrom(from);
    for (const { index } of gone) state.newConfigurations.delete(index);
    const inForce = state.log.configuration;
    if (gone.length === 0 || inForce === undefined) return;
    context.event('configuration_truncated', {
      peers: peerIds(inForce.configuration.peers),
      old_peers: peerIds(inForce.configuration.old_peers),
      index: inForce.index,
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
      context.log('info', 'a configuration without this peer is in force', { index: batch.header.first });
    }
  }
}

/** What a leader's append says to a follower; undefined where it has no entries. */
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

/** The batches with their headers; undefined unless they follow `prev_index`, and their terms rise up to the message's. */
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
