/**
 * All invariants, observing one run. Each receives only what it has asked for; the record receives everything first.
 */
import type { Instant } from '@conclave/actor/core';
import type { StorageOperation } from '@conclave/log-store';
import type { ActorKind, ConclaveEvent, LogIndex, Message, MessageName, PeerId } from '@conclave/protocol';
import type { Actor } from '../mesh/actor.js';
import type { ClientStep, NodeReply, RunObserver, SentHandlers, Served } from '../mesh/run-observer.js';
import { AcknowledgedIsSynced } from './acknowledged-is-synced.js';
import { CallsAreOfOneHistory } from './calls-are-of-one-history.js';
import { ClientsReportAHistoryOnce } from './clients-report-a-history-once.js';
import { CommitsHaveAQuorum } from './commits-have-a-quorum.js';
import { CommittedIsImmutable } from './committed-is-immutable.js';
import { CompactedIsCovered } from './compacted-is-covered.js';
import { ConfirmedLeadersGrantNothing } from './confirmed-leaders-grant-nothing.js';
import { DivergedMembersDoNotLead } from './diverged-members-do-not-lead.js';
import { EchoesAnswerNewTicks } from './echoes-answer-new-ticks.js';
import { EchoesAreInSession } from './echoes-are-in-session.js';
import { ElectionSafety } from './election-safety.js';
import { ElectionsHaveAQuorum } from './elections-have-a-quorum.js';
import { FencedNodesDoNothing } from './fenced-nodes-do-nothing.js';
import { HistoriesCountUpwards } from './histories-count-upwards.js';
import { InstallsKeepWhatMatches } from './installs-keep-what-matches.js';
import type { Invariant } from './invariant.js';
import { KnownCommitsAreTrue } from './known-commits-are-true.js';
import { LeaderCompleteness } from './leader-completeness.js';
import { LeaderIsAMember } from './leader-is-a-member.js';
import { LeadersHandOverWhereEntriesCommit } from './leaders-hand-over-where-entries-commit.js';
import { LeadersKeepTheirDeadlines } from './leaders-keep-their-deadlines.js';
import { LeadersServeBeforeTheyPublishIt } from './leaders-serve-before-they-publish-it.js';
import { LeasesAreAnnounced } from './leases-are-announced.js';
import { LeasesAreExclusive } from './leases-are-exclusive.js';
import { LeasesEndAtTheirTime } from './leases-end-at-their-time.js';
import { LeasesHold } from './leases-hold.js';
import { LevelsAreSupported } from './levels-are-supported.js';
import { LogMatching } from './log-matching.js';
import { MembersApplyTheSame } from './members-apply-the-same.js';
import { NoTruncationBelowCommit } from './no-truncation-below-commit.js';
import { NodesNeverGoBack } from './nodes-never-go-back.js';
import { NotDoneIsNeverAppended } from './not-done-is-never-appended.js';
import { OneChangeAtATime } from './one-change-at-a-time.js';
import { OneGroup } from './one-group.js';
import { OneStoreAName } from './one-store-a-name.js';
import { OnlyCaughtUpStoresJoin } from './only-caught-up-stores-join.js';
import { OnlyConfirmedLeadersAnswer } from './only-confirmed-leaders-answer.js';
import { OnlyMembersCampaign } from './only-members-campaign.js';
import { PreVotesComeFirst } from './pre-votes-come-first.js';
import { ReadOnlyPeersTakeNothing } from './read-only-peers-take-nothing.js';
import { ReadsAreCurrent } from './reads-are-current.js';
import { ReadsHaveAQuorum } from './reads-have-a-quorum.js';
import { ReadsWaitForALaterRound } from './reads-wait-for-a-later-round.js';
import { RunRecord } from './record/run-record.js';
import { RemovedPeersRaiseNoTerm } from './removed-peers-raise-no-term.js';
import { ReplicatorsFollowTheirNode } from './replicators-follow-their-node.js';
import { ResetsAreFinal } from './resets-are-final.js';
import { RestartsSpareTheQuorum } from './restarts-spare-the-quorum.js';
import { ResultsFollowFromTheLog } from './results-follow-from-the-log.js';
import { SentIsSynced } from './sent-is-synced.js';
import { SessionsOnlyGrow } from './sessions-only-grow.js';
import { SnapshotsAreTheState } from './snapshots-are-the-state.js';
import { StagesFollow } from './stages-follow.js';
import { StateMachineSafety } from './state-machine-safety.js';
import { StrangersDeposeNobody } from './strangers-depose-nobody.js';
import { TermsAndVotesNeverFall } from './terms-and-votes-never-fall.js';
import { TransfersComeFromLeaders } from './transfers-come-from-leaders.js';
import { TransfersGoOn } from './transfers-go-on.js';
import { TruncatedConfigurationsAreVoid } from './truncated-configurations-are-void.js';

/** In this order they are checked: if several are broken at once, the first one is reported. */
const rules = [
  OneGroup,
  ResetsAreFinal,
  CallsAreOfOneHistory,
  HistoriesCountUpwards,
  ClientsReportAHistoryOnce,
  ElectionSafety,
  ElectionsHaveAQuorum,
  LeaderCompleteness,
  LeaderIsAMember,
  OnlyMembersCampaign,
  PreVotesComeFirst,
  RemovedPeersRaiseNoTerm,
  StrangersDeposeNobody,
  TransfersComeFromLeaders,
  LogMatching,
  CommitsHaveAQuorum,
  CommittedIsImmutable,
  KnownCommitsAreTrue,
  CompactedIsCovered,
  SnapshotsAreTheState,
  InstallsKeepWhatMatches,
  TransfersGoOn,
  StateMachineSafety,
  MembersApplyTheSame,
  ResultsFollowFromTheLog,
  LeasesEndAtTheirTime,
  DivergedMembersDoNotLead,
  NoTruncationBelowCommit,
  NodesNeverGoBack,
  TermsAndVotesNeverFall,
  SentIsSynced,
  AcknowledgedIsSynced,
  SessionsOnlyGrow,
  FencedNodesDoNothing,
  StagesFollow,
  OneChangeAtATime,
  TruncatedConfigurationsAreVoid,
  OnlyCaughtUpStoresJoin,
  LevelsAreSupported,
  OneStoreAName,
  NotDoneIsNeverAppended,
  ReadOnlyPeersTakeNothing,
  LeadersHandOverWhereEntriesCommit,
  RestartsSpareTheQuorum,
  LeadersKeepTheirDeadlines,
  LeadersServeBeforeTheyPublishIt,
  LeasesHold,
  ConfirmedLeadersGrantNothing,
  LeasesAreExclusive,
  LeasesAreAnnounced,
  EchoesAnswerNewTicks,
  EchoesAreInSession,
  ReplicatorsFollowTheirNode,
  OnlyConfirmedLeadersAnswer,
  ReadsHaveAQuorum,
  ReadsWaitForALaterRound,
  ReadsAreCurrent,
] as const;

/** By the name of an input (`Step.input`). */
type ByInput = Map<string, readonly Invariant[]>;
type ByKind = Readonly<Record<ActorKind, ByInput>>;

const byKind = (): ByKind => ({
  node: new Map(),
  replicator: new Map(),
  'ballot-box': new Map(),
  'log-store': new Map(),
});

/** Whether a list of inputs names this one; messages have a dot in their names. */
function names(inputs: readonly string[] | undefined, input: string): boolean {
  return inputs === undefined || inputs.includes(input) || (input.includes('.') && inputs.includes('message'));
}

type SentHandler = (body: never, from: Actor, to: PeerId) => void;

/**
 * Returns the invariants of a new run or history, to be set as its observer before it begins.
 * @param before those of the previous history, if the group is created again: those that span histories continue
 */
export function allInvariants(before?: Invariants): Invariants {
  const record = new RunRecord();
  const spanning = before?.spanning ?? [];
  return new Invariants(
    record,
    rules.map((RuleOf) => spanning.find((rule) => rule instanceof RuleOf) ?? new RuleOf(record)),
  );
}

export class Invariants implements RunObserver {
  private readonly bySent = new Map<MessageName, SentHandler[]>();
  private readonly stepping = byKind();
  private readonly stepped = byKind();
  private readonly written: readonly Invariant[];
  private readonly served: readonly Invariant[];
  private readonly clientStepped: readonly Invariant[];
  private readonly results: readonly Invariant[];
  private readonly events: readonly Invariant[];
  private readonly applied: readonly Invariant[];
  private readonly digests: readonly Invariant[];
  private readonly delivered: readonly Invariant[];
  private readonly replied: readonly Invariant[];

  constructor(
    readonly record: RunRecord,
    private readonly all: readonly Invariant[],
  ) {
    this.listen(record.sent);
    for (const { sent } of all) this.listen(sent ?? {});
    this.events = all.filter(({ onEvent }) => onEvent !== undefined);
    this.applied = all.filter(({ onApplied }) => onApplied !== undefined);
    this.digests = all.filter(({ onDigest }) => onDigest !== undefined);
    this.delivered = all.filter(({ onDelivered }) => onDelivered !== undefined);
    this.replied = all.filter(({ onReplied }) => onReplied !== undefined);
    this.results = all.filter(({ onResult }) => onResult !== undefined);
    this.written = all.filter(({ onWritten }) => onWritten !== undefined);
    this.served = all.filter(({ onServed }) => onServed !== undefined);
    this.clientStepped = all.filter(({ onClientStepped }) => onClientStepped !== undefined);
  }

  /** The names of all invariants. */
  get names(): readonly string[] {
    return this.all.map(({ name }) => name);
  }

  /** Those that continue when the group is created again. */
  get spanning(): readonly Invariant[] {
    return this.all.filter(({ spansHistories }) => spansHistories === true);
  }

  private listen(sent: SentHandlers): void {
    for (const [name, handler] of Object.entries(sent) as [MessageName, SentHandler][]) {
      const handlers = this.bySent.get(name);
      if (handlers === undefined) this.bySent.set(name, [handler]);
      else handlers.push(handler);
    }
  }

  onStepping(actor: Actor, input: unknown, at: Instant): void {
    const { input: name } = this.record.onStepping(actor, input, at);
    const byInput = this.stepping[actor.kind];
    const handlers = byInput.get(name) ?? this.learn(byInput, actor.kind, name, 'onStepping', 'inputs');
    for (const invariant of handlers) invariant.onStepping?.(actor, input, at);
  }

  onStepped(actor: Actor): void {
    const { input: name = 'unknown' } = this.record.step ?? {};
    const byInput = this.stepped[actor.kind];
    const handlers = byInput.get(name) ?? this.learn(byInput, actor.kind, name, 'onStepped', 'after');
    for (const invariant of handlers) invariant.onStepped?.(actor);
  }

  /** Finds the invariants that observe such a step, once for each kind of actor and input. */
  private learn(
    byInput: ByInput,
    kind: ActorKind,
    input: string,
    handler: 'onStepping' | 'onStepped',
    inputs: 'inputs' | 'after',
  ): readonly Invariant[] {
    const handlers = this.all.filter(
      (rule) => rule[handler] !== undefined && rule.watched?.includes(kind) !== false && names(rule[inputs], input),
    );
    byInput.set(input, handlers);
    return handlers;
  }

  onSent(from: Actor, to: PeerId, message: Message): void {
    const handlers = this.bySent.get(message.name);
    if (handlers === undefined) return;
    for (const handler of handlers) handler(message.body as never, from, to);
  }

  onEvent(peerId: PeerId, term: number, event: ConclaveEvent, serves = true): void {
    for (const invariant of this.events) invariant.onEvent?.(peerId, term, event, serves);
  }

  onApplied(generation: object, index: LogIndex, payload: Uint8Array): void {
    for (const invariant of this.applied) invariant.onApplied?.(generation, index, payload);
  }

  onResult(index: LogIndex, result: unknown): void {
    for (const invariant of this.results) invariant.onResult?.(index, result);
  }

  onDigest(index: LogIndex | undefined, digest: string): void {
    for (const invariant of this.digests) invariant.onDigest?.(index, digest);
  }

  onRestored(generation: object, pieces: () => readonly Uint8Array[]): void {
    for (const invariant of this.all) invariant.onRestored?.(generation, pieces);
  }

  onWritten(peerId: PeerId, operations: readonly StorageOperation[]): void {
    this.record.onWritten(peerId, operations);
    for (const invariant of this.written) invariant.onWritten?.(peerId, operations);
  }

  onWiped(peerId: PeerId): void {
    this.record.onWiped(peerId);
  }

  onDelivered(attempt: object, requestId: number): void {
    for (const invariant of this.delivered) invariant.onDelivered?.(attempt, requestId);
  }

  onReplied(requestId: number, answer: NodeReply): void {
    for (const invariant of this.replied) invariant.onReplied?.(requestId, answer);
  }

  onServed(actor: Actor, served: Served, reply: unknown): void {
    for (const invariant of this.served) invariant.onServed?.(actor, served, reply);
  }

  onClientStepped(client: object, step: ClientStep): void {
    for (const invariant of this.clientStepped) invariant.onClientStepped?.(client, step);
  }

  /** The run has ended, the group is healthy, and these are its members. */
  onEnd(members: readonly PeerId[]): void {
    for (const invariant of this.all) invariant.onEnd?.(members);
  }
}
