/**
 * One attempt to found a group: which peers it asks, and what they have answered.
 * Owns: the replies of this attempt. It sends nothing and writes nothing; `Bootstrap` does.
 * Invariants:
 * 1. A listed peer prevents founding until it has answered that it holds nothing. So does every other peer that hosts the group,
 *    unless `isNew` is set, or the peer has no node and its log-store holds nothing.
 * 2. A peer that held data during this attempt prevents founding until its end. With `isNew` only a listed peer does.
 */
import {
  type AdminRequest,
  type Configuration,
  type GroupUid,
  type Levels,
  limits,
  noGroupUid,
  type PeerId,
  peerIds,
} from '@conclave/protocol';
import type { GroupHost } from '../inputs-and-effects.js';

/** A peer that holds data of the group. */
interface Holder {
  readonly peer_id: PeerId;
  readonly group_uid: GroupUid;
  readonly last_index: number;
  /** Null: its node has not reported it. */
  readonly configuration: Configuration | null;
}

export interface FoundingOptions {
  readonly requestId: number;
  readonly peerId: PeerId;
  readonly peers: readonly PeerId[];
  readonly askId: number;
  readonly sinceMs: number;
  readonly deadlineMs: number;
  readonly timeoutMs: number;
  readonly electionTimeoutMs: number;
  /** The backup that the group begins with; undefined: none. */
  readonly restore: AdminRequest<'bootstrap'>['restore'];
  /** Whether the group is founded even if peers that are not listed hold an earlier one of this name. */
  readonly isNew: boolean;
}

/** At least this many rounds must find no leader, and take at least this many election timeouts. */
const minRounds = 3;
const minTimeouts = 3;
/** A round that began longer ago than this (or than an election timeout) is out of date. */
const roundIsFreshMs = 1500;
/** The reply to `ask_group` is considered lost if it has not arrived by then. */
export const roundLostMs = 5000;
/** At most this many peers are named in an error. */
const namedPeers = 8;

export class Founding {
  /** The feature levels that each of the other listed peers supports; the group is founded at the highest that all do. */
  readonly levels = new Map<PeerId, Levels>();
  /** When each of the other peers last answered that it holds nothing, and promised to wait. */
  private readonly emptyMs = new Map<PeerId, number>();
  private readonly holders = new Map<PeerId, Holder>();
  /** Peers that are not listed and host the group. */
  private readonly otherHosts = new Set<PeerId>();
  /** The peers without a node whose log-store holds nothing, as of the last round. */
  private storesWithoutPeer: ReadonlySet<PeerId> = new Set();
  private round = 0;
  private isRoundOpen = false;
  private roundBeganMs = 0;
  /** How many rounds found no leader, and found out which peers host the group. */
  private rounds = 0;
  private lastRoundMs = Number.NEGATIVE_INFINITY;
  private obstacle = 'no request has been sent on the group’s subject yet';

  constructor(readonly options: FoundingOptions) {}

  /** The other peers that are asked what they hold: the listed ones, and those that host the group. */
  get others(): PeerId[] {
    const { peers, peerId } = this.options;
    return [...peers, ...this.otherHosts].filter((one) => one !== peerId);
  }

  isContacted(peerId: PeerId): boolean {
    return this.options.peers.includes(peerId) || this.otherHosts.has(peerId);
  }

  isListed(peerId: PeerId): boolean {
    return this.options.peers.includes(peerId);
  }

  /** @returns the number of the round that begins now; undefined: one is running */
  beginRound(nowMs: number): number | undefined {
    if (this.isRoundOpen && nowMs - this.roundBeganMs < roundLostMs) return undefined;
    this.isRoundOpen = true;
    this.roundBeganMs = nowMs;
    this.round += 1;
    return this.round;
  }

  /** Records what a round found, if no leader answered. @returns false: it is of an earlier round */
  endRound(round: number, hosts: readonly GroupHost[] | null): boolean {
    if (round !== this.round || !this.isRoundOpen) return false;
    this.isRoundOpen = false;
    if (hosts === null) {
      this.obstacle =
        'it is unknown which peers host the group: NATS’s service discovery does not answer, or too many peers do';
      return true;
    }
    this.rounds += 1;
    this.lastRoundMs = this.roundBeganMs;
    this.takeHosts(hosts);
    return true;
  }

  private takeHosts(hosts: readonly GroupHost[]): void {
    this.storesWithoutPeer = new Set();
    const withNothing = new Set<PeerId>();
    for (const { peer_id, has_node, store } of hosts) {
      if (peer_id === this.options.peerId) continue;
      if (!this.isListed(peer_id) && this.otherHosts.size < limits.foundingHosts) this.otherHosts.add(peer_id);
      if (store === null) continue;
      if (store.group_uid !== noGroupUid) this.addHolder({ peer_id, ...store, configuration: null });
      else if (!has_node) withNothing.add(peer_id);
    }
    this.storesWithoutPeer = withNothing;
  }

  addHolder(holder: Holder): void {
    const { configuration } = holder;
    if (configuration === null && this.holders.has(holder.peer_id)) return;
    this.holders.set(holder.peer_id, holder);
  }

  /** The peer has answered that it holds nothing. */
  addEmpty(peerId: PeerId, nowMs: number): void {
    this.emptyMs.set(peerId, nowMs);
  }

  /** The listed peers that hold data. */
  get listedHolders(): Holder[] {
    return [...this.holders.values()].filter(({ peer_id }) => this.isListed(peer_id));
  }

  private get preventing(): Holder[] {
    const holders = this.options.isNew ? this.listedHolders : [...this.holders.values()];
    return holders.sort((a, b) => (a.peer_id < b.peer_id ? -1 : 1));
  }

  /**
   * Whether this peer does not prevent founding: it has answered within an election timeout that it holds nothing, or need not
   * answer. Its promise lasts for longer than that.
   */
  private agrees(peerId: PeerId, nowMs: number): boolean {
    const { isNew, electionTimeoutMs } = this.options;
    if (!this.isListed(peerId) && (isNew || this.storesWithoutPeer.has(peerId))) return true;
    const reportedMs = this.emptyMs.get(peerId);
    return reportedMs !== undefined && nowMs - reportedMs <= electionTimeoutMs;
  }

  /** Whether all peers have been asked for long enough, and none holds anything. */
  mayFound(nowMs: number): boolean {
    const { sinceMs, electionTimeoutMs } = this.options;
    if (nowMs - sinceMs < minTimeouts * electionTimeoutMs || this.rounds < minRounds) return false;
    if (nowMs - this.lastRoundMs > Math.max(roundIsFreshMs, electionTimeoutMs)) return false;
    return this.preventing.length === 0 && this.others.every((peerId) => this.agrees(peerId, nowMs));
  }

  /** Returns why the attempt has failed at its deadline, for an operator. */
  refusal(nowMs: number): { readonly code: 'ENOTEMPTY' | 'EUNREACHABLE'; readonly text: string } {
    const { sinceMs, electionTimeoutMs } = this.options;
    if (this.preventing.length > 0) return { code: 'ENOTEMPTY', text: this.holdersText('and it has no leader') };
    const silent = this.others.filter((peerId) => !this.agrees(peerId, nowMs));
    const listed = silent.filter((peerId) => this.isListed(peerId));
    const others = silent.filter((peerId) => !this.isListed(peerId));
    if (listed.length > 0) return { code: 'EUNREACHABLE', text: `cannot be reached: ${listed.join(', ')}` };
    if (others.length > 0) {
      const text = `nothing is founded, because ${others.join(', ')} may hold data of the group: a process there hosts the group, and its node does not report what it holds, because it is starting or down. Wait for it, or stop all processes of that peer`;
      return { code: 'EUNREACHABLE', text };
    }
    if (this.rounds < minRounds || nowMs - this.lastRoundMs > Math.max(roundIsFreshMs, electionTimeoutMs)) {
      return { code: 'EUNREACHABLE', text: this.obstacle };
    }
    const neededMs = minTimeouts * electionTimeoutMs;
    const text =
      nowMs - sinceMs < neededMs
        ? `all peers are asked for ${neededMs} ms before a group is founded: use a longer timeout`
        : 'cannot be reached: actors of this peer itself';
    return { code: 'EUNREACHABLE', text };
  }

  /** Returns which peers hold what, and what an operator can do. */
  holdersText(state: string): string {
    const { peers } = this.options;
    const holders = this.preventing;
    const named = holders.slice(0, namedPeers).map(({ peer_id, group_uid, last_index, configuration }) => {
      const members = configuration === null ? '' : `, members ${peerIds(configuration.peers).join(', ')}`;
      return `${peer_id} (history ${group_uid}, up to entry ${last_index}${members})`;
    });
    const more = holders.length > namedPeers ? ` and ${holders.length - namedPeers} more` : '';
    const isListed = this.listedHolders.length > 0;
    const advice = isListed
      ? 'To found a new group in its place, delete these data first'
      : `To found a new group of ${peers.join(', ')} in its place, without these data: conclave bootstrap --new`;
    return (
      `nothing is founded: data of the group is held by ${named.join('; ')}${more}, ${state}. ` +
      `Start its other members; if its quorum is lost for good, let the surviving peers continue: conclave peers reset. ${advice}`
    );
  }
}
