/**
 * Which peers could lead instead of this leader, as far as its replicators have reported. It has no state of its own.
 *
 * A leader transfers leadership to a peer that could commit entries as the leader. Under another leader no entry of the new term
 * would be committed, and the group could neither write nor, after another election, read.
 */
import { hasMember, hasQuorum, type Member, type PeerId, type Progress } from '@conclave/protocol';
import type { NodeState } from '../state/index.js';
import type { StepContext } from '../step-context.js';

/** Why a peer cannot lead now. */
export type IneligibleReason =
  | 'silent'
  | 'refused'
  | 'cannot_lead'
  | 'read_only'
  /** Its node responds, and its log-store acknowledges nothing, so that it could not store a vote either. */
  | 'stores_nothing'
  | 'lacks_actor'
  | 'unknown';

export class TransferCandidates {
  constructor(
    private readonly context: StepContext,
    private readonly state: NodeState,
    /** What the replicators reported last. */
    private readonly reported: () => ReadonlyMap<PeerId, Progress>,
    /** Whether this leader was elected so recently that a peer may have acknowledged nothing yet. */
    private readonly isEarly: () => boolean,
  ) {}

  /** Returns, of the peers `among` that can lead, the one with the most entries; undefined: none can lead. */
  best(among: readonly PeerId[]): PeerId | undefined {
    return this.byMatch(among).find(({ peer_id }) => this.ineligibleReason(peer_id) === undefined)?.peer_id;
  }

  /** Returns, of the peers `among` that have ever responded to this leader, the one with the most entries. */
  mostUpToDate(among: readonly PeerId[]): PeerId | undefined {
    return this.byMatch(among).find(({ silent_ms }) => silent_ms >= 0)?.peer_id;
  }

  private byMatch(among: readonly PeerId[]): Progress[] {
    const configuration = this.state.log.configuration?.configuration;
    // The new store that catches up to replace a member's lost store is not in the configuration yet.
    const isMember = ({ peer_id, store_id }: Progress) =>
      configuration !== undefined && hasMember(configuration.peers, peer_id, store_id);
    const candidates = [...this.reported().values()].filter((each) => among.includes(each.peer_id) && isMember(each));
    const isBehind = ({ behind = false }: Progress): number => (behind ? 1 : 0);
    return candidates.sort(
      (a, b) => isBehind(a) - isBehind(b) || b.match_index - a.match_index || a.silent_ms - b.silent_ms,
    );
  }

  /** Returns why a peer cannot lead now; undefined: nothing known prevents it. */
  ineligibleReason(peerId: PeerId): IneligibleReason | undefined {
    const progress = this.reported().get(peerId);
    if (progress === undefined) return 'unknown';
    if (progress.refusal !== '') return 'refused';
    const { electionTimeoutMs } = this.context.options;
    if (progress.silent_ms < 0) return 'unknown';
    // A new store that replaces a member's lost one catches up, and does not vote yet.
    const member = this.state.log.configuration?.configuration.peers.find(({ peer_id }) => peer_id === peerId);
    if (member !== undefined && member.store_id !== progress.store_id) return 'refused';
    if (progress.silent_ms > electionTimeoutMs) return 'silent';
    if (progress.cannot_lead === true) return 'cannot_lead';
    if (progress.read_only) return 'read_only';
    // A peer that receives a snapshot acknowledges its chunks instead. An older build reports no time.
    const { install, stored_ms = 0 } = progress;
    const storesNothing = stored_ms < 0 ? !this.isEarly() : stored_ms > electionTimeoutMs;
    if (install === null && storesNothing) return 'stores_nothing';
    return progress.lacks_actor === true ? 'lacks_actor' : undefined;
  }

  /** Whether this peer could commit entries as the leader: it can lead, and a quorum of each set of the configuration stores entries. */
  canCommit(peerId: PeerId): boolean {
    const configuration = this.state.log.configuration?.configuration;
    if (configuration === undefined || this.ineligibleReason(peerId) !== undefined) return false;
    return hasQuorum(configuration, (member) => this.storesEntries(member));
  }

  /** Whether this member stores entries now: it is reachable, with the store of the configuration, and not read-only. */
  private storesEntries({ peer_id, store_id }: Member): boolean {
    const { state } = this;
    if (peer_id === state.peerId) return store_id === state.storeId && state.readOnlyReason === '';
    const reason = this.ineligibleReason(peer_id);
    const isFit = reason === undefined || reason === 'lacks_actor';
    return isFit && this.reported().get(peer_id)?.store_id === store_id;
  }
}
