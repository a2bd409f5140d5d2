/**
 * Founds a group: asks all peers first, then writes entry 1 as a group of one.
 * Invariants:
 * 1. No group is founded before all peers have been asked for three election timeouts. Each listed peer has lately answered that
 *    it holds nothing, and no leader has answered. Unless `new` is set, the same holds for each other peer that hosts the group.
 * 2. A peer that has promised to let another found the group does not found it meanwhile; of two founders the one with the lower
 *    name continues.
 */
import {
  type AdminRequest,
  type Body,
  type BootstrapReply,
  type Configuration,
  levelsOfFirstVersion,
  noGroupUid,
  type PeerId,
  peerIds,
  samePeers,
} from '@conclave/protocol';
import type { Election } from '../follower/index.js';
import type { NodeInput } from '../inputs-and-effects.js';
import type { LeaderState } from '../leader/index.js';
import type { LocalActors } from '../local/index.js';
import type { Backup } from '../snapshot/index.js';
import type { NodeState } from '../state/index.js';
import type { StepContext } from '../step-context.js';
import type { ConfigurationChange } from './configuration-change.js';
import { FirstEntry, type RestoreRequest } from './first-entry.js';
import { Founding, roundLostMs } from './founding.js';

type GroupAnswered = Extract<NodeInput, { type: 'group_answered' }>;

/**
 * An attempt to found a group ends after `foundingTimeouts` election timeouts, or after `minFoundingMs` if that is longer; but it
 * ends earlier if `shareOfWait` of the caller's timeout is over.
 */
const foundingTimeouts = 8;
const minFoundingMs = 5000;
/** The refusal must reach the caller before the caller's timeout. */
const shareOfWait = 0.9;

interface Waiting {
  readonly requestId: number;
  readonly timeoutMs: number;
  readonly deadlineMs: number;
}

/**
 * `bootstrap` requests that wait for the leader's reply, if this peer holds the group already. Their number is bounded by the
 * open requests of a node.
 */
interface LeaderRequest {
  readonly askId: number;
  readonly requestIds: number[];
  readonly deadlineMs: number;
}

export class Bootstrap {
  private founding: Founding | undefined;
  /** The request that waits for this group of one to add the peers that it was founded for. */
  private waiting: Waiting | undefined;
  private promisedTo: { readonly peerId: PeerId; readonly untilMs: number } | undefined;
  private lastAskId = 0;
  /** This peer holds the group: it asks the leader for the configuration, on behalf of the `bootstrap` requests that wait. */
  private leaderRequest: LeaderRequest | undefined;
  private readonly firstEntry: FirstEntry;

  constructor(
    private readonly context: StepContext,
    private readonly state: NodeState,
    private readonly actors: LocalActors,
    private readonly leadership: LeaderState,
    private readonly election: Election,
    private readonly change: ConfigurationChange,
    private readonly backup: Backup,
    /** The log was replaced by a backup: the node must restart. */
    private readonly onRestored: (reason: string) => void,
  ) {
    this.firstEntry = new FirstEntry(context, state, actors);
  }

  onBootstrap(requestId: number, body: AdminRequest<'bootstrap'>): void {
    const { state, context } = this;
    const timeoutMs = body.timeout_ms ?? context.options.changeTimeoutMs;
    if (state.groupUid !== noGroupUid) return this.bootstrapExistingGroup(requestId, body, timeoutMs);
    if (!body.peers.includes(state.peerId)) {
      return context.refuse(requestId, 'EINVAL', `${state.peerId} is not among the peers`);
    }
    if (this.founding !== undefined) return context.refuse(requestId, 'EBUSY', 'this peer is founding the group');
    if (this.promisedTo !== undefined && this.promisedTo.untilMs > context.nowMs) {
      const text = `${this.promisedTo.peerId} is founding the group, or has just given that up: ask again`;
      return context.refuse(requestId, 'EBUSY', text);
    }
    const { restore } = body;
    if (restore !== undefined && !this.backup.hasAll(restore.restore_id, restore.head)) {
      return context.refuse(requestId, 'EINVAL', 'this peer has not received all of the backup');
    }
    this.lastAskId += 1;
    const { electionTimeoutMs } = context.options;
    const withinMs = Math.min(shareOfWait * timeoutMs, Math.max(foundingTimeouts * electionTimeoutMs, minFoundingMs));
    this.founding = new Founding({
      requestId,
      restore,
      peerId: state.peerId,
      peers: body.peers,
      askId: this.lastAskId,
      sinceMs: context.nowMs,
      deadlineMs: context.nowMs + withinMs,
      timeoutMs,
      electionTimeoutMs,
      isNew: body.new === true,
    });
    this.askAll();
  }

  /** This peer holds the group: replies with its configuration, or continues a founding that was interrupted. */
  private bootstrapExistingGroup(requestId: number, body: AdminRequest<'bootstrap'>, timeoutMs: number): void {
    const { state, context } = this;
    const unfinished = this.unfinished();
    if (unfinished === undefined) {
      if (body.new !== true) return this.askExistingGroup(requestId, timeoutMs);
      const text = `${state.peerId} holds data of the group, history ${state.groupUid}: delete it before a new group takes its name`;
      return context.refuse(requestId, 'ENOTEMPTY', text);
    }
    if (!samePeers(unfinished, body.peers)) {
      return context.refuse(requestId, 'EBUSY', `the group is being founded for ${unfinished.join(', ')}`);
    }
    if (
      this.waiting !== undefined ||
      state.role !== 'leader' ||
      !this.leadership.committedOwnTerm ||
      this.change.isBusy
    ) {
      return context.refuse(requestId, 'EBUSY', 'the group is being founded: ask again');
    }
    this.addFoundingPeers(requestId, timeoutMs);
  }

  /** Asks the leader: this peer may lag, or may have been removed. Without a leader it replies from its own log. */
  private askExistingGroup(requestId: number, timeoutMs: number): void {
    const { context, leaderRequest } = this;
    if (this.state.role === 'leader') return context.reply(requestId, this.existingGroup());
    if (leaderRequest !== undefined) return void leaderRequest.requestIds.push(requestId);
    this.lastAskId += 1;
    const deadlineMs = context.nowMs + Math.min(shareOfWait * timeoutMs, roundLostMs);
    this.leaderRequest = { askId: this.lastAskId, requestIds: [requestId], deadlineMs };
    context.emit({ type: 'ask_group', askId: this.lastAskId, round: 1 });
  }

  private replyToWaiting(found: BootstrapReply): void {
    const requestIds = this.leaderRequest?.requestIds ?? [];
    this.leaderRequest = undefined;
    for (const requestId of requestIds) this.context.reply(requestId, found);
  }

  /** Returns the peers that this group of one was founded for, while it has not added them. */
  private unfinished(): readonly PeerId[] | undefined {
    const { configurations } = this.state.log;
    const founding = configurations[0]?.configuration.founding_peers;
    const isStillOne = configurations.every(({ configuration }) => isAlone(configuration));
    if (founding === undefined || !isStillOne || !this.state.isAlone()) return undefined;
    return founding.length > 1 ? founding : undefined;
  }

  private existingGroup(): BootstrapReply {
    const { groupUid: group_uid, leaderId: leader_id, log } = this.state;
    const configuration = log.configuration?.configuration ?? null;
    return groupOf({ group_id: this.context.options.groupId, group_uid, leader_id, configuration });
  }

  /** Asks all peers, also those that have answered: their promises expire, and other peers may have started. */
  private askAll(): void {
    const { founding, context, state } = this;
    if (founding === undefined) return;
    const { askId } = founding.options;
    const round = founding.beginRound(context.nowMs);
    if (round !== undefined) context.emit({ type: 'ask_group', askId, round });
    for (const peerId of founding.others) {
      context.send(peerId, {
        name: 'node.identify',
        body: {
          group_id: context.options.groupId,
          peer_id: state.peerId,
          asker: 'node',
          request_id: askId,
          founding: true,
        },
      });
    }
  }

  onTick(): void {
    const { founding, waiting, leaderRequest, context } = this;
    if (leaderRequest !== undefined && context.nowMs >= leaderRequest.deadlineMs)
      this.replyToWaiting(this.existingGroup());
    if (waiting !== undefined && context.nowMs >= waiting.deadlineMs) {
      this.waiting = undefined;
      context.refuse(waiting.requestId, 'ETIMEDOUT', 'the group is founded, and has no leader yet', 'unknown');
    }
    if (founding === undefined) return;
    if (context.nowMs < founding.options.deadlineMs) {
      this.askAll();
      // All peers may have answered before this peer's own actors did.
      return this.foundIfAllAgree();
    }
    const { code, text } = founding.refusal(context.nowMs);
    this.giveUp(code, text);
  }

  private giveUp(code: 'EUNREACHABLE' | 'ENOTEMPTY', reason: string): void {
    if (this.founding === undefined) return;
    this.context.refuse(this.founding.options.requestId, code, reason);
    this.founding = undefined;
  }

  get isFounding(): boolean {
    return this.founding !== undefined;
  }

  /** Another peer founds the group: promises not to found it; of two founders the one with the higher name stops. */
  onFounder(peerId: PeerId): void {
    const { state, context } = this;
    if (this.founding !== undefined) {
      if (peerId > state.peerId) return;
      context.refuse(this.founding.options.requestId, 'EBUSY', `${peerId} is founding the group`);
      this.founding = undefined;
    }
    this.promisedTo = { peerId, untilMs: context.nowMs + 5 * context.options.electionTimeoutMs };
  }

  onIdentity(body: Body<'node.identity'>): void {
    const { founding, context } = this;
    if (founding === undefined || body.request_id !== founding.options.askId || !founding.isContacted(body.peer_id)) {
      return context.drop('identity_not_asked_for');
    }
    if (body.group_uid !== noGroupUid) return this.onHolder(founding, body);
    // Of two founders the one with the higher name stops when it learns of the other, and answers again.
    if (body.founding) return;
    if (founding.isListed(body.peer_id)) {
      // Null: it has just started, and some of its own actors have not reported yet.
      if (body.levels === null) return;
      founding.levels.set(body.peer_id, body.levels ?? levelsOfFirstVersion);
    }
    founding.addEmpty(body.peer_id, context.nowMs);
    this.foundIfAllAgree();
  }

  /** A peer holds data: no group is founded. Whether the group exists is known once a peer leads it. */
  private onHolder(founding: Founding, body: Body<'node.identity'>): void {
    founding.addHolder(body);
    if (body.leader_id === '') {
      if (founding.options.isNew && founding.isListed(body.peer_id)) this.refuseNew(founding);
      return;
    }
    this.onGroupFound(founding, groupOf(body));
  }

  onGroupAnswered({ askId, round, status, hosts }: GroupAnswered): void {
    const { founding, context } = this;
    if (askId === this.leaderRequest?.askId) {
      return this.replyToWaiting(status === null ? this.existingGroup() : groupOf(status));
    }
    if (founding === undefined || askId !== founding.options.askId) return context.drop('group_answer_not_asked_for');
    if (status === null) {
      if (!founding.endRound(round, hosts)) return context.drop('group_answer_not_asked_for');
      if (founding.options.isNew && founding.listedHolders.length > 0) return this.refuseNew(founding);
      return this.foundIfAllAgree();
    }
    this.onGroupFound(founding, groupOf(status));
  }

  /** The group exists, and a peer leads it. */
  private onGroupFound(founding: Founding, found: BootstrapReply): void {
    if (founding.options.isNew) {
      const text = `${found.leader_id} leads the group, history ${found.group_uid}: stop its members ${found.peers.join(', ')}, or delete their data, before a new group takes its name`;
      return this.giveUp('ENOTEMPTY', text);
    }
    this.founding = undefined;
    this.context.reply(founding.options.requestId, found);
  }

  private refuseNew(founding: Founding): void {
    this.giveUp('ENOTEMPTY', founding.holdersText('which is among the listed peers'));
  }

  private foundIfAllAgree(): void {
    const { founding, state, context, actors } = this;
    if (founding === undefined || !founding.mayFound(context.nowMs)) return;
    if (state.groupUid !== noGroupUid) return this.giveUp('EUNREACHABLE', 'this peer was added to a group meanwhile');
    if (!actors.hasRoom('log-store') || actors.silent().length > 0) return;
    this.founding = undefined;
    const { requestId, timeoutMs, peers, restore } = founding.options;
    if (restore !== undefined) return this.foundFromBackup(founding, restore);
    this.waiting = { requestId, timeoutMs, deadlineMs: context.nowMs + timeoutMs };
    this.firstEntry.write(founding);
    context.log('info', 'founds the group', { group_uid: state.groupUid, peers });
    actors.afterSynced(() => this.election.campaignNow(state.term, true));
  }

  /**
   * The backup replaces all entries up to its last one, in a group of this peer alone. Then the node restarts, and a repeated
   * request adds the other peers, as after any founding that was interrupted.
   */
  private foundFromBackup(founding: Founding, restore: RestoreRequest): void {
    const { context, actors } = this;
    const { requestId } = founding.options;
    const failure = this.firstEntry.writeBackup(founding, restore);
    if (failure !== undefined) return context.refuse(requestId, 'EUNSUPPORTED', failure);
    actors.afterSynced(() => {
      context.refuse(requestId, 'EBUSY', 'the group is founded with the backup: ask again', 'unknown');
      this.onRestored('a group was founded with a backup');
    });
  }

  /** The leader's first entry is committed: a group that was just founded adds its peers. */
  onFlushed(): void {
    const { waiting } = this;
    if (waiting === undefined) return;
    this.waiting = undefined;
    this.addFoundingPeers(waiting.requestId, waiting.timeoutMs);
  }

  private addFoundingPeers(requestId: number, timeoutMs: number): void {
    const founded = () => ({ ...this.existingGroup(), founded: true });
    const newPeers = this.unfinished();
    if (newPeers === undefined) return this.context.reply(requestId, founded());
    // If the change fails, the group exists nevertheless, and a repeated request continues from here.
    this.change.start({ requestId, newPeers, timeoutMs, replyOf: founded, outcomeUndone: 'unknown' });
  }

  /** This peer no longer leads. */
  abandon(reason: string): void {
    if (this.waiting === undefined) return;
    this.context.refuse(this.waiting.requestId, 'EPERM', reason, 'unknown');
    this.waiting = undefined;
  }

  /** This node is fenced. */
  onFenced(reason: string): void {
    for (const requestId of this.leaderRequest?.requestIds ?? []) this.context.refuse(requestId, 'EFENCED', reason);
    this.leaderRequest = undefined;
    if (this.founding !== undefined) this.context.refuse(this.founding.options.requestId, 'EFENCED', reason);
    this.founding = undefined;
    this.abandon(reason);
  }
}

type KnownGroup = Pick<BootstrapReply, 'group_id' | 'group_uid' | 'leader_id'> & {
  readonly configuration: Pick<Configuration, 'peers' | 'old_peers'> | null;
};

/** Returns the reply to `bootstrap` for a group that exists. */
function groupOf({ group_id, group_uid, leader_id, configuration }: KnownGroup): BootstrapReply {
  const [peers, old_peers] = [peerIds(configuration?.peers ?? []), peerIds(configuration?.old_peers ?? [])];
  return { group_id, group_uid, peers, old_peers, leader_id, founded: false };
}

function isAlone({ peers, old_peers }: Configuration): boolean {
  return peers.length === 1 && old_peers.length === 0;
}
