/**
 * What a leader knows of its group: the reports of its replicators and its ballot-box, and the parts that use these reports.
 *
 * Owns: the reports. Does not own proposals (`proposals.ts`) nor changes of the configuration (`configuration-change.ts`).
 */
import {
  allMembers,
  asLogIndex,
  type Body,
  hasQuorum,
  invariant,
  type LogIndex,
  type Member,
  type PeerId,
  type Progress,
  peerIds,
} from '@conclave/protocol';
import type { LocalActors } from '../local/index.js';
import type { NodeState } from '../state/index.js';
import type { StepContext } from '../step-context.js';
import { LeaderConfirmation } from './leader-confirmation.js';
import { PeerAlerts } from './peer-alerts.js';
import { ReplicationTargets } from './replication-targets.js';
import { TransferCandidates } from './transfer-candidates.js';

const noVotesMissing = { peers: [], old_peers: [] };

export class LeaderState {
  /** The index of the first entry of this leader's term: the configuration that a new leader appends (its flush). */
  firstIndex: LogIndex = asLogIndex(0);
  /** The members that have not stored the first uncommitted entry of this term, in each set of the entry's configuration. */
  missingVotes: Body<'node.ballots'>['lacking'] = noVotesMissing;
  readonly confirmation: LeaderConfirmation;
  readonly targets: ReplicationTargets;
  readonly candidates: TransferCandidates;
  private beganMs = Number.NEGATIVE_INFINITY;
  private progressOf: ReadonlyMap<PeerId, Progress> = new Map();
  private readonly alerts: PeerAlerts;

  constructor(
    private readonly context: StepContext,
    private readonly state: NodeState,
    private readonly actors: LocalActors,
  ) {
    this.alerts = new PeerAlerts(context, state);
    this.confirmation = new LeaderConfirmation(context, state, actors, (peerId) => this.progress(peerId));
    this.targets = new ReplicationTargets(context, state, actors);
    this.candidates = new TransferCandidates(
      context,
      state,
      () => this.progressOf,
      () => this.isEarly,
    );
  }

  /** This peer has become the leader: resets all reports, and sends the leader's state to the ballot-box and the replicators. */
  begin(): void {
    this.firstIndex = asLogIndex(this.state.log.lastIndex + 1);
    this.missingVotes = noVotesMissing;
    this.beganMs = this.context.nowMs;
    this.progressOf = new Map();
    this.alerts.clear();
    this.confirmation.begin();
    this.targets.begin();
    this.sendBallotBoxState();
    this.targets.sendLead();
  }

  /** Whether this leader has committed an entry of its own term. */
  get committedOwnTerm(): boolean {
    return this.state.role === 'leader' && this.state.commitIndex >= this.firstIndex;
  }

  /**
   * Whether this leader knows every entry that an earlier leader has committed, so that it may answer reads. Its log contains
   * all of them (leader completeness). It knows that they are committed once its commit index has reached the last entry before
   * its own first one. Usually this happens with the commit of its own first entry. In a read-only group no such commit happens, but an
   * earlier leader may have sent this peer that commit index. A leader of a new history answers no read before the entry that
   * begins the history is committed.
   */
  get knowsCommitted(): boolean {
    if (this.committedOwnTerm) return true;
    const { commitIndex, groupUid, log } = this.state;
    if (commitIndex < this.firstIndex - 1) return false;
    const before = log.configurationAt(commitIndex)?.configuration;
    return before !== undefined && ((before.level ?? 0) === 0 || before.history?.group_uid === groupUid);
  }

  /** Sends the leader's full state to the ballot-box, which has none: it has restarted, or this peer has just become the leader. */
  sendBallotBoxState(): void {
    const { state, actors } = this;
    const { log } = state;
    const effective = log.configurationAt(this.firstIndex) ?? log.configuration;
    invariant(effective !== undefined, 'a leader has a configuration');
    const later = log.configurations.filter(({ index }) => index > effective.index);
    actors.sendFramed('ballot-box', (frame) => ({
      name: 'ballot-box.lead',
      body: {
        ...actors.identity,
        ...frame,
        peer_id: state.peerId,
        group_uid: state.groupUid,
        term: state.term,
        first_index: this.firstIndex,
        last_index: log.lastIndex,
        election_timeout_ms: Math.floor(this.context.options.electionTimeoutMs),
        configurations: [effective, ...later],
      },
    }));
  }

  /** Whether this leader was elected so recently that its replicators may not have reported all reachable members yet. */
  get isEarly(): boolean {
    return this.context.nowMs - this.beganMs < 2 * this.context.options.electionTimeoutMs;
  }

  progress(peerId: PeerId): Progress | undefined {
    return this.progressOf.get(peerId);
  }

  get allProgress(): Progress[] {
    return [...this.progressOf.values()];
  }

  /** Makes these peers targets that catch up. Reports about them from an earlier attempt are dropped. */
  setNewPeers(newPeers: Parameters<ReplicationTargets['setNewPeers']>[0]): void {
    const dropped = new Set(newPeers.map(({ peer_id }) => peer_id));
    this.progressOf = new Map([...this.progressOf].filter(([peerId]) => !dropped.has(peerId)));
    this.targets.setNewPeers(newPeers);
  }

  onTick(): void {
    this.targets.onTick((peerId) => this.progressOf.get(peerId)?.match_index ?? 0);
  }

  /** Accepts a report of the replicators. Returns false if it is of another session or term, or older than the last one. */
  onProgress(body: Body<'node.progress'>): boolean {
    const isOwn = body.store_id === this.state.storeId && body.session === this.state.session;
    if (!isOwn || body.term !== this.state.term) {
      this.context.drop('progress_stale');
      return false;
    }
    if (this.confirmation.isOlderReport(body)) {
      this.context.drop('progress_overtaken');
      return false;
    }
    this.progressOf = new Map(body.targets.map((progress) => [progress.peer_id, progress]));
    this.confirmation.onProgress(body);
    this.recordAcknowledged(body.targets);
    this.alerts.onProgress(body.targets);
    this.targets.onProgress(body);
    return true;
  }

  /** Records the last committed entry that each target's store has acknowledged. A store that lacks it later has lost data. */
  private recordAcknowledged(targets: readonly Progress[]): void {
    const { acknowledged, commitIndex } = this.state;
    const known = targets.filter(({ refusal, store_id }) => refusal === '' && store_id !== '');
    acknowledged.record(
      known.map(({ store_id, match_index }) => ({ store_id, index: asLogIndex(Math.min(match_index, commitIndex)) })),
    );
  }

  /** Names the targets that report another election timeout than this leader's; empty: there is none. */
  get timeoutRemark(): string {
    return this.alerts.timeoutRemark;
  }

  onBallots(body: Body<'node.ballots'>): void {
    const isOwn = body.store_id === this.state.storeId && body.session === this.state.session;
    if (isOwn && body.term === this.state.term) this.missingVotes = body.lacking;
    else this.context.drop('ballots_stale');
  }

  /** Returns the members that are known to be unable to read commands of this version. */
  membersUnableToRead(version: number): PeerId[] {
    const { state } = this;
    const configuration = state.log.configuration?.configuration;
    if (version === 0 || configuration === undefined) return [];
    return [...new Set(peerIds(allMembers(configuration)))].filter((peerId) => {
      if (peerId === state.peerId) return (state.commandVersion ?? 0) < version;
      const progress = this.progressOf.get(peerId);
      // A member without a report is not returned, so that a dead member blocks nothing. If it returns and cannot read a command, it
      // stops applying at that entry.
      return progress?.levels !== undefined && (progress.command_version ?? 0) < version;
    });
  }

  /** The highest version of commands that can be read by this peer and by every member that has reported its version. */
  get commonCommandVersion(): number {
    const { state } = this;
    const configuration = state.log.configuration?.configuration;
    const reportedVersions = peerIds(configuration === undefined ? [] : allMembers(configuration)).flatMap((peerId) => {
      const progress = this.progressOf.get(peerId);
      return peerId === state.peerId || progress?.levels === undefined ? [] : [progress.command_version ?? 0];
    });
    return Math.min(state.commandVersion ?? 0, ...reportedVersions);
  }

  /**
   * Returns why this leader accepts no writes now; undefined: it does. It accepts none if so many members are
   * read-only that the others are no quorum. It also accepts none while it is read-only itself, unless it transfers its
   * leadership to a peer that accepts entries.
   */
  reasonAgainstWrites(isTransferring = false): string | undefined {
    const { state } = this;
    const configuration = state.log.configuration?.configuration;
    if (configuration === undefined) return undefined;
    const acceptsEntries = ({ peer_id }: Member): boolean =>
      peer_id === state.peerId ? state.readOnlyReason === '' : this.progressOf.get(peer_id)?.read_only !== true;
    if (!hasQuorum(configuration, acceptsEntries)) {
      const names = peerIds(allMembers(configuration).filter((member) => !acceptsEntries(member)));
      return `too many peers are read-only: ${[...new Set(names)].join(', ')}`;
    }
    const leaderAcceptsEntries = state.readOnlyReason === '' || isTransferring;
    return leaderAcceptsEntries ? undefined : 'the leader is read-only, and no other peer can lead';
  }
}
