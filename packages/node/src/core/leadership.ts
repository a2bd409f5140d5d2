/**
 * What a leader does besides proposals and changes: ticks and their confirmation, the targets of its replicators,
 * and what these and the ballot-box report.
 *
 * Invariants:
 * 1. A tick is confirmed only by a quorum's echoes of that tick or of a later one; of a leader that needs nobody
 *    else, by its own log-store, which would not answer a node that another has taken the place of.
 * 2. A leader whose ticks a quorum leaves unconfirmed for an election timeout, or one of whose own actors is
 *    silent for as long, steps down; but not while it can take a joint stage back with those that it hears.
 */
import {
  allMembers,
  asLogIndex,
  type Body,
  batchHeader,
  hasMember,
  hasQuorum,
  invariant,
  isIn,
  isJoint,
  type LogIndex,
  limits,
  type Member,
  majority,
  type PeerId,
  type Progress,
  peerIds,
  type StoreId,
  type Target,
} from '@conclave/protocol';
import type { NodeContext } from './context.js';
import { LeaderLease } from './leader-lease.js';
import type { OwnActors } from './own-actors.js';
import { PeerTroubles } from './peer-troubles.js';
import type { NodeState } from './state.js';

interface Farewell {
  readonly storeId: StoreId;
  /** The configuration entry without the peer. */
  readonly index: LogIndex;
  readonly untilMs: number;
  /** Ticks since it has had that entry, committed: some are needed to tell it of the commit. */
  ticksTold: number;
}

const farewellTicks = 5;

/** A peer that catches up; where that is a member's new store, which one. */
interface Joiner {
  readonly peer_id: PeerId;
  readonly store_id: StoreId | undefined;
}

/** Why a target cannot lead now. */
type Unfitness = 'silent' | 'refused' | 'cannot_lead' | 'read_only' | 'lacks_actor' | 'unknown';

const nothingLacking = { peers: [], old_peers: [] };

export class Leadership {
  /** The first entry of the own term: the configuration that a new leader appends. */
  firstIndex: LogIndex = asLogIndex(0);
  /** Whose votes the lowest ungranted ballot lacks. */
  lacking: Body<'node.ballots'>['lacking'] = nothingLacking;
  readonly lease: LeaderLease;
  private beganMs = Number.NEGATIVE_INFINITY;
  private tickId = 0;
  private readonly sentMs = new Map<number, number>();
  private confirmedTickId = 0;
  private confirmedMs = 0;
  /** The shortest election timeout of this leader and of its targets: no voter helps another one sooner. */
  private shortestTimeoutMs = 0;
  private progressOf = new Map<PeerId, Progress>();
  /** When the tick was sent that the replicators' last report follows. */
  private reportedMs = Number.NEGATIVE_INFINITY;
  /** When the last tick began of which the own log-store has acknowledged that it has stored all that it was sent until then. */
  private ownStoredMs = 0;
  private readonly troubles: PeerTroubles;
  private readonly farewells = new Map<PeerId, Farewell>();
  private joiners: readonly Joiner[] = [];
  /** Of members that have two stores while one takes the other's place: the one that answers, where that is not the new one. */
  private readonly answering = new Map<PeerId, StoreId>();
  /** Whose majority alone can take the running change back; undefined: that cannot be done. */
  private undoers: readonly Member[] | undefined;
  private sentTargets = '';
  /** Whether the replicators are to get the content of entries, as some target does not hear it itself. */
  private wantsContent = true;

  constructor(
    private readonly context: NodeContext,
    private readonly state: NodeState,
    private readonly own: OwnActors,
  ) {
    this.troubles = new PeerTroubles(context, state);
    this.lease = new LeaderLease(context, state);
  }

  /** Begins a leadership: tells the ballot-box and the replicators. */
  begin(): void {
    this.firstIndex = asLogIndex(this.state.log.lastIndex + 1);
    this.lacking = nothingLacking;
    this.sentMs.clear();
    this.confirmedTickId = this.tickId;
    this.confirmedMs = Number.NEGATIVE_INFINITY;
    this.shortestTimeoutMs = this.context.options.electionTimeoutMs;
    this.ownStoredMs = this.context.nowMs;
    this.beganMs = this.context.nowMs;
    this.lease.begin(this.tickId);
    this.progressOf = new Map();
    this.troubles.clear();
    this.farewells.clear();
    this.joiners = [];
    this.answering.clear();
    this.undoers = undefined;
    this.tellBallotBox();
    this.tellReplicators();
  }

  /** The full state for a ballot-box that knows nothing. */
  tellBallotBox(): void {
    const { state, own } = this;
    const { log } = state;
    const inForce = log.configurationAt(this.firstIndex) ?? log.configuration;
    invariant(inForce !== undefined, 'a leader has a configuration');
    const later = log.configurations.filter(({ index }) => index > inForce.index);
    own.sendFramed('ballot-box', (frame) => ({
      name: 'ballot-box.lead',
      body: {
        ...own.own,
        ...frame,
        peer_id: state.peerId,
        group_uid: state.groupUid,
        term: state.term,
        first_index: this.firstIndex,
        last_index: log.lastIndex,
        election_timeout_ms: Math.floor(this.context.options.electionTimeoutMs),
        configurations: [inForce, ...later],
      },
    }));
  }

  /** The full state for a replicator process that knows nothing. */
  tellReplicators(): void {
    const { state, own } = this;
    const { log } = state;
    const targets = this.targets();
    this.sentTargets = this.signature(targets);
    // Until it says otherwise, which one that begins anew has not.
    this.wantsContent = true;
    own.sendFramed('replicator', (frame) => ({
      name: 'replicator.lead',
      body: {
        ...own.own,
        ...frame,
        peer_id: state.peerId,
        group_uid: state.groupUid,
        term: state.term,
        last_index: log.lastIndex,
        last_term: log.lastTerm,
        commit_index: state.commitIndex,
        configuration_index: this.configurationIndex,
        targets,
        ...state.acknowledged.list(),
      },
    }));
  }

  private get configurationIndex(): LogIndex {
    return this.state.log.configuration?.index ?? asLogIndex(0);
  }

  /** Who is replicated to: the members, those that catch up, and for a while those that were removed. */
  private targets(): Target[] {
    const configuration = this.state.log.configuration?.configuration;
    invariant(configuration !== undefined, 'a leader has a configuration');
    const targets = new Map<PeerId, Target>();
    for (const [peer_id, { storeId }] of this.farewells) {
      targets.set(peer_id, { peer_id, store_id: storeId, catching_up: false });
    }
    for (const { peer_id, store_id } of this.joiners) {
      targets.set(peer_id, { peer_id, store_id: store_id ?? ('' as StoreId), catching_up: true });
    }
    const isHealing = ({ peer_id, store_id }: Joiner) =>
      store_id !== undefined && !isIn(configuration, peer_id, store_id);
    const healing = new Set(this.joiners.filter(isHealing).map(({ peer_id }) => peer_id));
    for (const { peer_id, store_id } of [...configuration.peers, ...configuration.old_peers]) {
      const known = targets.get(peer_id);
      // Of a member that has two stores the new one, unless the lost one is back, and it alone.
      const isKnown = known?.catching_up === false && isIn(configuration, peer_id, known.store_id);
      if (healing.has(peer_id) || (isKnown && this.answering.get(peer_id) !== store_id)) continue;
      targets.set(peer_id, { peer_id, store_id, catching_up: false });
    }
    targets.delete(this.state.peerId);
    return [...targets.values()];
  }

  private signature(targets: readonly Target[]): string {
    const byName = [...targets].sort((a, b) => (a.peer_id < b.peer_id ? -1 : 1));
    return JSON.stringify([this.configurationIndex, byName]);
  }

  /** Tells the replicators whom to serve, if that has changed. */
  syncTargets(): void {
    const { state, own } = this;
    const targets = this.targets();
    const signature = this.signature(targets);
    if (signature === this.sentTargets) return;
    this.sentTargets = signature;
    own.sendFramed('replicator', (frame) => ({
      name: 'replicator.targets',
      body: { ...own.own, ...frame, term: state.term, configuration_index: this.configurationIndex, targets },
    }));
  }

  /** Who catches up, besides the members. */
  setJoiners(joiners: readonly Joiner[]): void {
    this.joiners = joiners;
    // What was known of a peer from an earlier try says nothing about this one.
    for (const { peer_id } of joiners) this.progressOf.delete(peer_id);
    this.syncTargets();
  }

  /**
   * The joint stage of a change of this leader and term begins or ends. While it lasts nobody else can be elected without
   * a majority of the old members: who has their ear may stay, and take the stage back, though the new ones are silent.
   */
  setUndoers(members: readonly Member[] | undefined): void {
    this.undoers = members;
  }

  /** These members are out since the configuration at `index`: tell them so for a while. */
  bidFarewell(members: readonly Member[], index: LogIndex): void {
    const untilMs = this.context.nowMs + this.context.options.removalNoticeMs;
    for (const { peer_id, store_id } of members) {
      // Strangers come in here by their own word: as many as a configuration has peers, and no more.
      if (this.farewells.size >= limits.configurationPeers && !this.farewells.has(peer_id)) continue;
      this.farewells.set(peer_id, { storeId: store_id, index, untilMs, ticksTold: 0 });
    }
    this.syncTargets();
  }

  /** Whether members may be in reach though nothing has been heard of them: the replicators have just begun. */
  get isEarly(): boolean {
    return this.context.nowMs - this.beganMs < 2 * this.context.options.electionTimeoutMs;
  }

  progress(peerId: PeerId): Progress | undefined {
    return this.progressOf.get(peerId);
  }

  /** For how long the own log-store has not acknowledged that it has stored all that it was sent. */
  get ownStoredAgeMs(): number {
    return this.context.nowMs - this.ownStoredMs;
  }

  /** How old the replicators' last report is at most, however long it was under way or waited in this process. */
  get reportAgeMs(): number {
    return this.context.nowMs - this.reportedMs;
  }

  get allProgress(): Progress[] {
    return [...this.progressOf.values()];
  }

  /** Tells the replicators of new batches; with what is in them, where a target is to get that from them. */
  tellAppended(batches: readonly Uint8Array[]): void {
    const { state, own } = this;
    const runs = batches.map((batch) => {
      const { first, last } = batchHeader(batch);
      return { first_index: first, last_index: last, bytes: batch.length };
    });
    const content = this.wantsContent ? [...batches] : [];
    own.sendFramed(
      'replicator',
      (frame) => ({
        name: 'replicator.append',
        body: { ...own.own, ...frame, term: state.term, commit_index: state.commitIndex, runs, batches: content },
      }),
      content.reduce((sum, batch) => sum + batch.length, 0),
    );
  }

  /** Sends a new tick to the replicators, which begins a round of heartbeats. Answers its id. */
  sendTick(): number {
    const { state, context, own } = this;
    this.tickId += 1;
    this.sentMs.set(this.tickId, context.nowMs);
    own.sendReplicatorTick(state.term, true, this.tickId);
    return this.tickId;
  }

  /** Along with this tick something was sent to the own log-store: its acknowledgement counts for the lease. */
  awaitOwnSession(tickId: number): void {
    const { state, own, lease } = this;
    const { term } = state;
    const { nowMs } = this.context;
    lease.onSent(tickId);
    own.afterSynced(() => {
      if (state.role !== 'leader' || state.term !== term) return;
      this.ownStoredMs = nowMs;
      lease.onOwnSession(tickId);
    });
  }

  /** A configuration entry has been appended. */
  onConfiguration(): void {
    this.lease.onConfiguration(this.tickId);
  }

  /** Ends the farewells that are over: told, or for too long. Once a tick. */
  endFarewells(): void {
    for (const [peerId, farewell] of this.farewells) {
      const hasIt = (this.progressOf.get(peerId)?.match_index ?? 0) >= farewell.index;
      if (hasIt && this.state.commitIndex >= farewell.index) farewell.ticksTold += 1;
      if (this.context.nowMs >= farewell.untilMs || farewell.ticksTold > farewellTicks) this.farewells.delete(peerId);
    }
    this.syncTargets();
  }

  /** This peer led when it sent this tick. False: that is no news, or of another term. */
  onConfirmed({ term, tick_id }: Pick<Body<'node.confirmed'>, 'term' | 'tick_id'>): boolean {
    if (term !== this.state.term || tick_id <= this.confirmedTickId || tick_id > this.tickId) {
      this.context.drop('confirmed_stale');
      return false;
    }
    this.confirm(tick_id);
    return true;
  }

  /** A quorum was in its sessions after this tick was heard. False: that is no news, or of another term. */
  onSessionsConfirmed({ term, session_tick_id }: Body<'node.confirmed'>): boolean {
    return term === this.state.term && session_tick_id <= this.tickId && this.lease.onQuorum(session_tick_id);
  }

  /** Whether this tick is the last one that is known to be confirmed. */
  isConfirmedTick(tickId: number): boolean {
    return tickId === this.confirmedTickId;
  }

  private confirm(tickId: number): void {
    this.confirmedMs = this.sentMs.get(tickId) ?? this.confirmedMs;
    this.confirmedTickId = tickId;
    for (const sent of this.sentMs.keys()) {
      if (sent > tickId) break;
      this.sentMs.delete(sent);
    }
  }

  /**
   * Whether nobody else can have been elected yet: a quorum has confirmed this leader within an election timeout, the shortest one
   * where peers have different ones, or those are heard without whom nobody could be.
   */
  isConfirmed(): boolean {
    if (this.context.nowMs - this.confirmedMs <= this.shortestTimeoutMs) return true;
    return this.undoers !== undefined && this.hearsMajorityOf(this.undoers);
  }

  private hearsMajorityOf(members: readonly Member[]): boolean {
    const { state, context } = this;
    // The report itself grows old.
    const sinceMs = this.reportAgeMs;
    const heard = members.filter(({ peer_id, store_id }) => {
      if (peer_id === state.peerId) return store_id === state.storeId;
      const progress = this.progressOf.get(peer_id);
      if (progress === undefined || progress.store_id !== store_id || progress.silent_ms < 0) return false;
      // It is another store that was heard then.
      if (progress.refusal !== '') return false;
      // Well within the time in which they promise to help nobody else.
      return progress.silent_ms + sinceMs <= context.options.electionTimeoutMs / 2;
    });
    return heard.length >= majority(members.length);
  }

  /** Why this leader must step down, or undefined. */
  reasonToStepDown(): string | undefined {
    const { electionTimeoutMs, heartbeatIntervalMs } = this.context.options;
    const silent = this.own.silent();
    if (silent.length > 0) return `its own ${silent.join(' and ')} is silent`;
    // Ticks are counted too: a process that was held up must first hear the echoes that wait for it.
    const unheard = this.sentMs.size > electionTimeoutMs / heartbeatIntervalMs;
    return !this.isConfirmed() && unheard ? 'its quorum is silent' : undefined;
  }

  /** Takes the replicators' report; false where it is of another term. */
  onProgress(body: Body<'node.progress'>): boolean {
    const isOwn = body.store_id === this.state.storeId && body.session === this.state.session;
    if (!isOwn || body.term !== this.state.term) {
      this.context.drop('progress_stale');
      return false;
    }
    this.progressOf = new Map(body.targets.map((progress) => [progress.peer_id, progress]));
    this.wantsContent = body.wants_content;
    this.reportedMs = this.reportTime(body.tick_id);
    this.shortestTimeoutMs = Math.min(
      this.context.options.electionTimeoutMs,
      ...body.targets.map(({ election_timeout_ms = Infinity }) => election_timeout_ms),
    );
    this.noteAcknowledged(body.targets);
    this.troubles.onProgress(body.targets);
    this.noteAnswering(body.targets);
    return true;
  }

  /** When the tick of a report was sent. One that is not known any more is older than what was reported last. */
  private reportTime(tickId: number | undefined): number {
    if (tickId === undefined) return this.context.nowMs;
    return tickId === this.confirmedTickId ? this.confirmedMs : (this.sentMs.get(tickId) ?? this.reportedMs);
  }

  /** What the targets have acknowledged and is committed: they have it for good. */
  private noteAcknowledged(targets: readonly Progress[]): void {
    const { acknowledged, commitIndex } = this.state;
    const known = targets.filter(({ refusal, store_id }) => refusal === '' && store_id !== '');
    acknowledged.note(
      known.map(({ store_id, match_index }) => ({ store_id, index: asLogIndex(Math.min(match_index, commitIndex)) })),
    );
  }

  /** Of a member with two stores in a joint configuration the other one may be the one that runs. */
  private noteAnswering(targets: readonly Progress[]): void {
    const configuration = this.state.log.configuration?.configuration;
    if (configuration === undefined || !isJoint(configuration)) return this.answering.clear();
    for (const { peer_id, refusal, found } of targets) {
      if (refusal !== 'ESTORE' || found === undefined || !isIn(configuration, peer_id, found.store_id)) continue;
      this.answering.set(peer_id, found.store_id);
    }
    this.syncTargets();
  }

  /** Which members have another election timeout than this leader; empty: none that has said so. */
  get timeoutRemark(): string {
    return this.troubles.timeoutRemark;
  }

  onBallots(body: Body<'node.ballots'>): void {
    const isOwn = body.store_id === this.state.storeId && body.session === this.state.session;
    if (isOwn && body.term === this.state.term) this.lacking = body.lacking;
    else this.context.drop('ballots_stale');
  }

  /** The best to lead instead, among these: furthest, and fit to lead. */
  bestHeir(among: readonly PeerId[]): PeerId | undefined {
    return this.byMatch(among).find(({ peer_id }) => this.unfitness(peer_id) === undefined)?.peer_id;
  }

  /** The target that is furthest, among these, of all that were ever heard. */
  mostUpToDate(among: readonly PeerId[]): PeerId | undefined {
    return this.byMatch(among).find(({ silent_ms }) => silent_ms >= 0)?.peer_id;
  }

  private byMatch(among: readonly PeerId[]): Progress[] {
    const configuration = this.state.log.configuration?.configuration;
    // A store that is caught up to take a lost one's place is no member yet.
    const isMember = ({ peer_id, store_id }: Progress) =>
      configuration !== undefined && hasMember(configuration.peers, peer_id, store_id);
    const candidates = this.allProgress.filter((each) => among.includes(each.peer_id) && isMember(each));
    const isBehind = ({ behind = false }: Progress): number => (behind ? 1 : 0);
    return candidates.sort(
      (a, b) => isBehind(a) - isBehind(b) || b.match_index - a.match_index || a.silent_ms - b.silent_ms,
    );
  }

  /** Why a target cannot lead now, as far as is known of it; undefined: nothing stands against it. */
  unfitness(peerId: PeerId): Unfitness | undefined {
    const progress = this.progressOf.get(peerId);
    if (progress === undefined) return 'unknown';
    if (progress.refusal !== '') return 'refused';
    if (progress.silent_ms < 0) return 'unknown';
    if (progress.silent_ms > this.context.options.electionTimeoutMs) return 'silent';
    if (progress.cannot_lead === true) return 'cannot_lead';
    if (progress.read_only) return 'read_only';
    return progress.lacks_actor === true ? 'lacks_actor' : undefined;
  }

  /** Which members are known to read no commands of this version. */
  notReading(version: number): PeerId[] {
    const { state } = this;
    const configuration = state.log.configuration?.configuration;
    if (version === 0 || configuration === undefined) return [];
    return [...new Set(peerIds(allMembers(configuration)))].filter((peerId) => {
      if (peerId === state.peerId) return (state.commandVersion ?? 0) < version;
      const progress = this.progressOf.get(peerId);
      // One that has not said comes back with what it reads: with less, it stops at the entry.
      return progress?.levels !== undefined && (progress.command_version ?? 0) < version;
    });
  }

  /** The version of commands that this peer and all members that it has heard of read. */
  get commonCommandVersion(): number {
    const { state } = this;
    const configuration = state.log.configuration?.configuration;
    const said = peerIds(configuration === undefined ? [] : allMembers(configuration)).flatMap((peerId) => {
      const progress = this.progressOf.get(peerId);
      return peerId === state.peerId || progress?.levels === undefined ? [] : [progress.command_version ?? 0];
    });
    return Math.min(state.commandVersion ?? 0, ...said);
  }

  /**
   * Why this leader takes no writes now, or undefined: those that take entries are no quorum, or it takes none itself, and
   * does not hand over to somebody who does.
   */
  reasonAgainstWrites(isHandingOver = false): string | undefined {
    const { state } = this;
    const configuration = state.log.configuration?.configuration;
    if (configuration === undefined) return undefined;
    const takesEntries = ({ peer_id }: Member): boolean =>
      peer_id === state.peerId ? state.readOnlyReason === '' : this.progressOf.get(peer_id)?.read_only !== true;
    if (!hasQuorum(configuration, takesEntries)) {
      const names = peerIds(allMembers(configuration).filter((member) => !takesEntries(member)));
      return `too many peers are read-only: ${[...new Set(names)].join(', ')}`;
    }
    const takesThem = state.readOnlyReason === '' || isHandingOver;
    return takesThem ? undefined : 'the leader is read-only, and nobody else can lead';
  }
}
