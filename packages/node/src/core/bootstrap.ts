/**
 * Founding a group: asking everybody first, then writing entry 1 as a group of one (DESIGN, section 4, stage 0).
 *
 * Invariants:
 * 1. Nothing is founded unless all have been asked for three election timeouts, up to the moment of founding: each listed
 *    peer and each other one that hosts the group has lately answered that it holds nothing, and no leader answered.
 * 2. A peer that has promised to let another found the group does not found it meanwhile; of two founders the
 *    one with the lower name goes on.
 */
import {
  type AdminRequest,
  asLogIndex,
  asTerm,
  type Body,
  type BootstrapReply,
  batchHeader,
  type Configuration,
  commonLevels,
  encodeConfigurationBatch,
  type GroupUid,
  levelOf,
  levelsOfFirstVersion,
  noGroupUid,
  type PeerId,
  peerIds,
  samePeers,
  snapshotLevel,
} from '@conclave/protocol';
import type { BackupDoor } from './backup-door.js';
import { build } from './build.js';
import type { ConfigurationChange } from './configuration-change.js';
import type { NodeContext } from './context.js';
import type { NodeInput } from './contract.js';
import type { Election } from './election.js';
import { Founding, roundLostMs } from './founding.js';
import type { OwnActors } from './own-actors.js';
import type { NodeState } from './state.js';

type Restore = NonNullable<AdminRequest<'bootstrap'>['restore']>;

type GroupAnswered = Extract<NodeInput, { type: 'group_answered' }>;

/** A founding is given up after so many election timeouts, and not before it had this time to ask everybody. */
const foundingTimeouts = 8;
const leastFoundingMs = 5000;
/** Of the time that whoever asks waits, as long as that is known: the refusal has to reach it. */
const shareOfWait = 0.9;

interface Waiting {
  readonly requestId: number;
  readonly timeoutMs: number;
  readonly deadlineMs: number;
}

/** Requests that arrive while it is open wait for the same answer. Their number is bounded by the open requests of a node. */
interface Question {
  readonly askId: number;
  readonly requestIds: number[];
  readonly deadlineMs: number;
}

export class Bootstrap {
  private founding: Founding | undefined;
  /** Who waits for this group of one to take in the peers that it was founded for. */
  private waiting: Waiting | undefined;
  private promisedTo: { readonly peerId: PeerId; readonly untilMs: number } | undefined;
  private lastAskId = 0;
  /** This peer holds the group: it asks the leader for the configuration, on behalf of the `bootstrap` requests that wait. */
  private question: Question | undefined;

  constructor(
    private readonly context: NodeContext,
    private readonly state: NodeState,
    private readonly own: OwnActors,
    private readonly election: Election,
    private readonly change: ConfigurationChange,
    private readonly backup: BackupDoor,
    /** A backup has become the log: the node is to begin anew. */
    private readonly onRestored: (reason: string) => void,
  ) {}

  onBootstrap(requestId: number, body: AdminRequest<'bootstrap'>): void {
    const { state, context } = this;
    const timeoutMs = body.timeout_ms ?? context.options.changeTimeoutMs;
    if (state.groupUid !== noGroupUid) return this.answerHeld(requestId, body, timeoutMs);
    if (!body.peers.includes(state.peerId)) {
      return context.refuse(requestId, 'EINVAL', `${state.peerId} is not among the peers`);
    }
    if (this.founding !== undefined) return context.refuse(requestId, 'EBUSY', 'this peer is founding the group');
    if (this.promisedTo !== undefined && this.promisedTo.untilMs > context.nowMs) {
      return context.refuse(requestId, 'EBUSY', `${this.promisedTo.peerId} is founding the group`);
    }
    const { restore } = body;
    if (restore !== undefined && !this.backup.hasAll(restore.restore_id, restore.head)) {
      return context.refuse(requestId, 'EINVAL', 'this peer was not given all of the backup');
    }
    this.lastAskId += 1;
    const { electionTimeoutMs } = context.options;
    const withinMs = Math.min(shareOfWait * timeoutMs, Math.max(foundingTimeouts * electionTimeoutMs, leastFoundingMs));
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

  /** This peer holds the group: it answers what is there, or goes on with a founding that was cut short. */
  private answerHeld(requestId: number, body: AdminRequest<'bootstrap'>, timeoutMs: number): void {
    const { state, context } = this;
    const unfinished = this.unfinished();
    if (unfinished === undefined) {
      if (body.new !== true) return this.askWhatIsThere(requestId, timeoutMs);
      const text = `${state.peerId} holds data of the group, history ${state.groupUid}: delete it before a new group takes its name`;
      return context.refuse(requestId, 'ENOTEMPTY', text);
    }
    if (!samePeers(unfinished, body.peers)) {
      return context.refuse(requestId, 'EBUSY', `the group is being founded for ${unfinished.join(', ')}`);
    }
    if (this.waiting !== undefined || state.role !== 'leader' || !this.change.isFlushed || this.change.isBusy) {
      return context.refuse(requestId, 'EBUSY', 'the group is being founded: ask again');
    }
    this.takeInPeers(requestId, timeoutMs);
  }

  /** Asks the leader: this peer may lag, or may have been removed. Without a leader it replies from its own log. */
  private askWhatIsThere(requestId: number, timeoutMs: number): void {
    const { context, question } = this;
    if (this.state.role === 'leader') return context.reply(requestId, this.whatIsThere());
    if (question !== undefined) return void question.requestIds.push(requestId);
    this.lastAskId += 1;
    const deadlineMs = context.nowMs + Math.min(shareOfWait * timeoutMs, roundLostMs);
    this.question = { askId: this.lastAskId, requestIds: [requestId], deadlineMs };
    context.emit({ type: 'ask_group', askId: this.lastAskId, round: 1 });
  }

  private answerQuestion(found: BootstrapReply): void {
    const requestIds = this.question?.requestIds ?? [];
    this.question = undefined;
    for (const requestId of requestIds) this.context.reply(requestId, found);
  }

  /** The peers that this group of one was founded for, while it has not taken them in. */
  private unfinished(): readonly PeerId[] | undefined {
    const { configurations } = this.state.log;
    const founding = configurations[0]?.configuration.founding_peers;
    const isStillOne = configurations.every(({ configuration }) => isAlone(configuration));
    if (founding === undefined || !isStillOne || !this.state.isAlone()) return undefined;
    return founding.length > 1 ? founding : undefined;
  }

  private whatIsThere(): BootstrapReply {
    const { groupUid: group_uid, leaderId: leader_id, log } = this.state;
    const configuration = log.configuration?.configuration ?? null;
    return groupOf({ group_id: this.context.options.groupId, group_uid, leader_id, configuration });
  }

  /** Asks all, those too that have answered: their promises run out, and others may have come. */
  private askAll(): void {
    const { founding, context, state } = this;
    if (founding === undefined) return;
    const { askId } = founding.options;
    const round = founding.beginRound(context.nowMs);
    if (round !== undefined) context.emit({ type: 'ask_group', askId, round });
    for (const peerId of founding.asked) {
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
    const { founding, waiting, question, context } = this;
    if (question !== undefined && context.nowMs >= question.deadlineMs) this.answerQuestion(this.whatIsThere());
    if (waiting !== undefined && context.nowMs >= waiting.deadlineMs) {
      this.waiting = undefined;
      context.refuse(waiting.requestId, 'ETIMEDOUT', 'the group is founded, and has no leader yet', 'unknown');
    }
    if (founding === undefined) return;
    if (context.nowMs < founding.options.deadlineMs) {
      this.askAll();
      // All may have answered before this peer's own actors had.
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

  /** Somebody asks who this peer is: a leader's replicator, or a founder. */
  onIdentify(body: Body<'node.identify'>): void {
    const { state, context } = this;
    const identity = {
      group_id: body.group_id,
      peer_id: state.peerId,
      request_id: body.request_id,
      store_id: state.storeId,
      group_uid: state.groupUid,
      last_index: state.log.lastIndex,
      ...build(context.options, state),
    };
    if (body.asker === 'replicator') {
      return context.send(body.peer_id, { name: 'replicator.identity', body: identity });
    }
    if (body.founding && state.groupUid === noGroupUid) this.promise(body.peer_id);
    context.send(body.peer_id, {
      name: 'node.identity',
      body: {
        ...identity,
        leader_id: state.leaderId,
        founding: this.founding !== undefined,
        configuration: state.log.configuration?.configuration ?? null,
      },
    });
  }

  /** Lets another found the group; a founder gives way to a lower name. */
  private promise(peerId: PeerId): void {
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
    if (founding === undefined || body.request_id !== founding.options.askId || !founding.isAsked(body.peer_id)) {
      return context.drop('identity_not_asked_for');
    }
    if (body.group_uid !== noGroupUid) return this.onHolder(founding, body);
    // Two founders: the higher name gives way when it hears of the lower one, and answers anew.
    if (body.founding) return;
    if (founding.isListed(body.peer_id)) {
      // Null: it has just started, and some of its own actors have not said yet.
      if (body.levels === null) return;
      founding.levels.set(body.peer_id, body.levels ?? levelsOfFirstVersion);
    }
    founding.addEmpty(body.peer_id, context.nowMs);
    this.foundIfAllAgree();
  }

  /** Somebody holds data: nothing is founded. Whether the group is there is known once somebody leads it. */
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
    if (askId === this.question?.askId) {
      return this.answerQuestion(status === null ? this.whatIsThere() : groupOf(status));
    }
    if (founding === undefined || askId !== founding.options.askId) return context.drop('group_answer_not_asked_for');
    if (status === null) {
      if (!founding.endRound(round, hosts)) return context.drop('group_answer_not_asked_for');
      if (founding.options.isNew && founding.listedHolders.length > 0) return this.refuseNew(founding);
      return this.foundIfAllAgree();
    }
    this.onGroupFound(founding, groupOf(status));
  }

  /** The group is there, and somebody leads it. */
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
    const { founding, state, context, own } = this;
    if (founding === undefined || !founding.mayFound(context.nowMs)) return;
    if (state.groupUid !== noGroupUid) return this.giveUp('EUNREACHABLE', 'this peer was taken into a group meanwhile');
    if (!own.hasRoom('log-store') || own.silent().length > 0) return;
    this.founding = undefined;
    const { requestId, timeoutMs, peers, restore } = founding.options;
    if (restore !== undefined) return this.beginWith(founding, restore);
    this.waiting = { requestId, timeoutMs, deadlineMs: context.nowMs + timeoutMs };
    this.writeFirstEntry(founding);
    context.log('info', 'founds the group', { group_uid: state.groupUid, peers });
    own.afterSynced(() => this.election.standNow(state.term, true));
  }

  /**
   * Begins with the backup in the place of all entries up to its last one, and this peer alone. Then the node begins anew, and
   * asking for the same again takes in the others, as after any founding that was cut short.
   */
  private beginWith(founding: Founding, { restore_id, head }: Restore): void {
    const { state, context, own } = this;
    const { requestId, peers } = founding.options;
    const configuration = this.foundingConfiguration(founding);
    const needed = snapshotLevel(head);
    if (needed > levelOf(configuration)) {
      const text = `the backup has feature level ${needed}, and not all listed peers speak that`;
      return context.refuse(requestId, 'EUNSUPPORTED', text);
    }
    const group_uid = this.newGroupUid();
    const term = asTerm(Math.max(state.term, head.term) + 1);
    own.sendFramed('log-store', (frame) => ({
      name: 'log-store.snapshot_end',
      body: {
        ...own.own,
        ...frame,
        snapshot_id: restore_id,
        source: 'installed',
        group_uid,
        term,
        head: { ...head, configurations: [{ index: head.index, configuration }] },
        compact_to: head.index,
      },
    }));
    context.log('info', 'founds the group with a backup', { group_uid, peers, index: head.index });
    own.afterSynced(() => {
      context.refuse(requestId, 'EBUSY', 'the group is founded with the backup: ask again', 'unknown');
      this.onRestored('a group was founded with a backup');
    });
  }

  /** A group of this peer alone, of the highest feature level that all listed peers speak. */
  private foundingConfiguration({ options: { peers }, levels }: Founding): Configuration {
    const { peerId: peer_id, storeId: store_id, peerLevels } = this.state;
    const all = [peerLevels ?? levelsOfFirstVersion, ...levels.values()];
    const level = Math.min(commonLevels(all).highest, this.context.options.foundingLevel ?? Number.POSITIVE_INFINITY);
    const founding = { peers: [{ peer_id, store_id }], old_peers: [], founding_peers: [...peers] };
    return level === 0 ? founding : { ...founding, level };
  }

  private newGroupUid(): GroupUid {
    return `${this.context.options.incarnation}.${this.lastAskId}` as GroupUid;
  }

  /** Entry 1, of the first term in which this peer has no vote to regret: the next. */
  private writeFirstEntry(founding: Founding): void {
    const { state, context, own } = this;
    state.enterTerm(asTerm(state.term + 1), state.peerId);
    own.storeVote();
    state.groupUid = this.newGroupUid();
    const configuration = this.foundingConfiguration(founding);
    const first = asLogIndex(1);
    const bytes = encodeConfigurationBatch(state.term, first, configuration);
    state.log.append({ header: batchHeader(bytes), bytes });
    own.sendAppendToLogStore({
      group_uid: state.groupUid,
      leader_id: state.peerId,
      leader_term: state.term,
      verified_index: first,
      truncate_from: asLogIndex(0),
      commit_index: asLogIndex(0),
      batches: [bytes],
    });
    state.newConfigurations.add(first);
    context.event('configuration_appended', { peers: [state.peerId], old_peers: [], index: first });
  }

  /** The leader's first entry is committed: a group that was just founded takes in its peers. */
  onFlushed(): void {
    const { waiting } = this;
    if (waiting === undefined) return;
    this.waiting = undefined;
    this.takeInPeers(waiting.requestId, waiting.timeoutMs);
  }

  private takeInPeers(requestId: number, timeoutMs: number): void {
    const founded = () => ({ ...this.whatIsThere(), founded: true });
    const newPeers = this.unfinished();
    if (newPeers === undefined) return this.context.reply(requestId, founded());
    // The group is there all the same, and asking again goes on from here.
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
    for (const requestId of this.question?.requestIds ?? []) this.context.refuse(requestId, 'EFENCED', reason);
    this.question = undefined;
    if (this.founding !== undefined) this.context.refuse(this.founding.options.requestId, 'EFENCED', reason);
    this.founding = undefined;
    this.abandon(reason);
  }
}

type KnownGroup = Pick<BootstrapReply, 'group_id' | 'group_uid' | 'leader_id'> & {
  readonly configuration: Pick<Configuration, 'peers' | 'old_peers'> | null;
};

/** What `bootstrap` answers of a group that is there. */
function groupOf({ group_id, group_uid, leader_id, configuration }: KnownGroup): BootstrapReply {
  const [peers, old_peers] = [peerIds(configuration?.peers ?? []), peerIds(configuration?.old_peers ?? [])];
  return { group_id, group_uid, peers, old_peers, leader_id, founded: false };
}

function isAlone({ peers, old_peers }: Configuration): boolean {
  return peers.length === 1 && old_peers.length === 0;
}
