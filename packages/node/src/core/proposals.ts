/**
 * A leader's proposals: from a client's request to its entry, and from the applied entry to the reply.
 *
 * Invariants:
 * 1. A proposal waits in `queue`, or its entry is appended and it stands in `appended` under the entry's index.
 * 2. Both are bounded together; past the bounds a request is refused, not done.
 */
import {
  asLogIndex,
  asTerm,
  batchHeader,
  type Configuration,
  type ErrorCode,
  encodeBatch,
  encodeConfigurationBatch,
  type LogIndex,
  limits,
  type Outcome,
  peerIds,
} from '@conclave/protocol';
import type { NodeContext } from './context.js';
import type { Leadership } from './leadership.js';
import type { OwnActors } from './own-actors.js';
import type { NodeState } from './state.js';
import { WriterThrottle } from './writer-throttle.js';

interface Proposal {
  readonly requestId: number | undefined;
  readonly payload: Uint8Array;
  readonly command: unknown;
}

/**
 * Appends that may be on their way to a quorum while more is gathered: few, so that what arrives meanwhile shares
 * the next one; more than one, so that no disk waits for the node.
 */
const appendsUnderWay = 4;
const entryOverheadBytes = 4;

export class Proposals {
  private queue: Proposal[] = [];
  private readonly appended = new Map<LogIndex, Proposal>();
  /** Of the payloads of both. */
  private bytes = 0;
  /** The last index of each append that is not committed. */
  private underWay: LogIndex[] = [];
  readonly throttle: WriterThrottle;

  constructor(
    private readonly context: NodeContext,
    private readonly state: NodeState,
    private readonly own: OwnActors,
    private readonly leadership: Leadership,
  ) {
    this.throttle = new WriterThrottle(context.options.electionTimeoutMs);
  }

  /**
   * Takes a request's payload; it is appended when the mailbox has run dry.
   * @param outcomeFull what to say of a request for which there is no room
   */
  propose(
    requestId: number | undefined,
    payload: Uint8Array,
    command: unknown,
    outcomeFull: Outcome = 'not_done',
  ): void {
    const waiting = this.queue.length + this.appended.size;
    const isFull = waiting >= limits.pendingProposals || this.bytes + payload.length > limits.pendingProposalBytes;
    if (payload.length > limits.entryBytes) {
      if (requestId !== undefined) {
        this.context.refuse(requestId, 'EINVAL', `a request has at most ${limits.entryBytes} bytes`);
      }
    } else if (isFull) {
      if (requestId !== undefined) this.context.refuse(requestId, 'EBUSY', 'too many writes are waiting', outcomeFull);
    } else {
      this.queue.push({ requestId, payload, command });
      this.bytes += payload.length;
    }
  }

  /** Appends what has gathered, where the actors keep up. */
  flush(): void {
    const { context, throttle } = this;
    while (this.queue.length > 0 && this.mayAppend()) {
      const waitMs = throttle.waitMs(context.nowMs);
      if (waitMs > 0) return context.setTimer('throttle', waitMs);
      this.appendSome();
    }
  }

  private mayAppend(): boolean {
    const { own, state } = this;
    this.underWay = this.underWay.filter((last) => last > state.commitIndex);
    return (
      this.underWay.length < appendsUnderWay &&
      own.hasRoom('log-store') &&
      own.hasRoom('replicator') &&
      own.hasRoom('ballot-box')
    );
  }

  /** One `append`, with as many batches as a message holds. */
  private appendSome(): void {
    const first = asLogIndex(this.state.log.lastIndex + 1);
    const batches: Uint8Array[] = [];
    let bytes = 0;
    let taken = 0;
    while (taken < this.queue.length && batches.length < limits.appendBatches) {
      const count = this.batchLength(taken, limits.appendBytes - bytes);
      if (count === 0) break;
      const batch = this.appendBatch(this.queue.slice(taken, taken + count));
      batches.push(batch);
      bytes += batch.length;
      taken += count;
    }
    this.queue = this.queue.slice(taken);
    this.underWay.push(this.state.log.lastIndex);
    this.throttle.onAppended(bytes);
    this.sendAppend(first, batches, null);
  }

  /** How many proposals from `from` on fit one batch of so many bytes. The first of a message always does. */
  private batchLength(from: number, room: number): number {
    const most = Math.min(limits.batchBytes, room);
    let bytes = 0;
    let count = 0;
    while (from + count < this.queue.length && count < limits.batchEntries) {
      bytes += entryOverheadBytes + (this.queue[from + count] as Proposal).payload.length;
      if (bytes > most && (count > 0 || from > 0)) break;
      count += 1;
    }
    return count;
  }

  private appendBatch(proposals: readonly Proposal[]): Uint8Array {
    const { state } = this;
    const first = asLogIndex(state.log.lastIndex + 1);
    const payloads = proposals.map(({ payload }) => payload);
    const bytes = encodeBatch('commands', state.term, first, payloads, state.level);
    const commands = proposals.map(({ command }) => command);
    state.log.append({ header: batchHeader(bytes), bytes, commands });
    for (const [at, proposal] of proposals.entries()) this.appended.set(asLogIndex(first + at), proposal);
    return bytes;
  }

  /** Appends a configuration, in an `append` of its own. Answers its index. */
  appendConfiguration(configuration: Configuration): LogIndex {
    const { state, context } = this;
    const first = asLogIndex(state.log.lastIndex + 1);
    const bytes = encodeConfigurationBatch(state.term, first, configuration);
    state.log.append({ header: batchHeader(bytes), bytes });
    state.newConfigurations.add(first);
    context.event('configuration_appended', {
      peers: peerIds(configuration.peers),
      old_peers: peerIds(configuration.old_peers),
      index: first,
    });
    this.sendAppend(first, [bytes], configuration);
    return first;
  }

  /** Registers the entries from `first` on with the ballot-box, publishes them, and tells the replicators. */
  private sendAppend(first: LogIndex, batches: readonly Uint8Array[], configuration: Configuration | null): void {
    const { state, own } = this;
    const run = { first_index: first, last_index: state.log.lastIndex, configuration };
    own.sendFramed('ballot-box', (frame) => ({
      name: 'ballot-box.register',
      body: { ...own.own, ...frame, term: state.term, runs: [run] },
    }));
    own.sendAppendToFeed(
      {
        group_uid: state.groupUid,
        leader_id: state.peerId,
        leader_term: state.term,
        verified_index: state.log.lastIndex,
        truncate_from: asLogIndex(0),
        commit_index: state.commitIndex,
        batches: [...batches],
        // A leader has all that was committed before its term.
        ...(state.wasUnverified ? { verified: true } : {}),
      },
      state.log.termAt(asLogIndex(first - 1)) ?? asTerm(0),
    );
    this.leadership.tellAppended(batches);
    if (configuration !== null) this.leadership.onConfiguration();
  }

  /** Replies to whoever proposed this entry. */
  onApplied(index: LogIndex, result: unknown): void {
    const proposal = this.appended.get(index);
    if (proposal === undefined) return;
    this.appended.delete(index);
    this.bytes -= proposal.payload.length;
    if (proposal.requestId !== undefined) this.context.reply(proposal.requestId, result);
  }

  /** Nothing can be appended for now: refuses what waits for that. */
  refuseWaiting(code: ErrorCode, reason: string, outcome: Outcome): void {
    for (const { requestId, payload } of this.queue) {
      this.bytes -= payload.length;
      if (requestId !== undefined) this.context.refuse(requestId, code, reason, outcome);
    }
    this.queue = [];
  }

  /**
   * The leadership is over: what was appended may yet happen.
   * @param waiting the outcome of what was not appended
   */
  refuseAll(reason: string, waiting: Outcome): void {
    for (const { requestId } of this.queue) {
      if (requestId !== undefined) this.context.refuse(requestId, 'EPERM', reason, waiting);
    }
    for (const { requestId } of this.appended.values()) {
      if (requestId !== undefined) this.context.refuse(requestId, 'EPERM', reason, 'unknown');
    }
    this.queue = [];
    this.underWay = [];
    this.appended.clear();
    this.bytes = 0;
    this.throttle.end();
  }
}
