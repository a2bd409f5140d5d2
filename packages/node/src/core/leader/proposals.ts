/**
 * A leader's proposals: from a client's request to its entry, and from the applied entry to the reply.
 * Invariants:
 * 1. A proposal waits in `queue`, or its entry is appended and it is in `appended` under the entry's index.
 * 2. `queue` and `appended` together are bounded. A request that exceeds the bounds is refused.
 */
import { asLogIndex, type ErrorCode, type LogIndex, limits, type Outcome } from '@conclave/protocol';
import type { LocalActors } from '../local/index.js';
import type { AppendedCommand, LogAppender } from '../log/index.js';
import type { NodeState } from '../state/index.js';
import type { StepContext } from '../step-context.js';
import { WriterThrottle } from './writer-throttle.js';

interface Proposal extends AppendedCommand {
  readonly requestId: number | undefined;
  /** Of its request, if that has one. */
  readonly trace?: string | undefined;
}

interface TracedEntry {
  readonly requestId: number;
  readonly index: LogIndex;
}

/**
 * The most appends that are not committed at the same time. Few, so that proposals that arrive meanwhile share the next append.
 * More than one, so that no disk waits for the node.
 */
const appendsInFlight = 4;
const entryOverheadBytes = 4;

export class Proposals {
  private queue: Proposal[] = [];
  private readonly appended = new Map<LogIndex, Proposal>();
  /** The bytes of the payloads in `queue` and in `appended`. */
  private bytes = 0;
  /** The last index of each append that is not committed, and when it was appended. */
  private inFlight: { readonly last: LogIndex; readonly sinceMs: number }[] = [];
  /** The entries of requests with a trace that are not committed. */
  private traced: TracedEntry[] = [];
  readonly throttle: WriterThrottle;

  constructor(
    private readonly context: StepContext,
    private readonly state: NodeState,
    private readonly own: LocalActors,
    private readonly appender: LogAppender,
  ) {
    this.throttle = new WriterThrottle(context.options.electionTimeoutMs);
  }

  /**
   * Queues the payload of a request. `appendQueued` appends it; the node calls it at the end of each turn (`idle`).
   * @param outcomeFull the outcome of a request for which there is no room
   * @param trace of the request, if it has one
   */
  propose(
    requestId: number | undefined,
    payload: Uint8Array,
    command: unknown,
    outcomeFull: Outcome = 'not_done',
    trace?: string,
  ): void {
    const waiting = this.queue.length + this.appended.size;
    const isFull = waiting >= limits.pendingProposals || this.bytes + payload.length > limits.pendingProposalBytes;
    if (payload.length > limits.entryBytes) {
      if (requestId !== undefined) {
        this.context.refuse(requestId, 'EINVAL', `a request makes an entry of at most ${limits.entryBytes} bytes`);
      }
    } else if (isFull) {
      if (requestId !== undefined) this.context.refuse(requestId, 'EBUSY', 'too many writes are waiting', outcomeFull);
    } else {
      this.queue.push({ requestId, payload, command, trace });
      this.bytes += payload.length;
    }
  }

  /**
   * Appends the queued proposals as long as fewer than `appendsInFlight` appends wait for their quorum, the links to this peer's
   * actors have room, and writers are not throttled.
   */
  appendQueued(): void {
    const { context, throttle } = this;
    while (this.queue.length > 0 && this.mayAppend()) {
      const waitMs = throttle.waitMs(context.nowMs);
      if (waitMs > 0) return context.setTimer('throttle', waitMs);
      this.appendSome();
    }
  }

  private mayAppend(): boolean {
    const { own } = this;
    return (
      this.inFlight.length < appendsInFlight &&
      own.hasRoom('log-store') &&
      own.hasRoom('replicator') &&
      own.hasRoom('ballot-box')
    );
  }

  /** Appends as many proposals as one `append` message of the feed may contain. */
  private appendSome(): void {
    let bytes = 0;
    let taken = 0;
    for (let batches = 0; taken < this.queue.length && batches < limits.appendBatches; batches += 1) {
      const count = this.batchLength(taken, limits.appendBytes - bytes);
      if (count === 0) break;
      bytes += this.appendBatch(this.queue.slice(taken, taken + count));
      taken += count;
    }
    const appended = this.queue.slice(0, taken);
    this.queue = this.queue.slice(taken);
    this.inFlight.push({ last: this.state.log.lastIndex, sinceMs: this.context.nowMs });
    this.throttle.onAppended(bytes);
    this.appender.announce(this.tracesOf(appended));
  }

  /**
   * Returns how many proposals from `from` on fit into one batch of at most `room` bytes. The first proposal of an append always
   * fits.
   */
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

  /** Returns the size of the batch in bytes. */
  private appendBatch(proposals: readonly Proposal[]): number {
    const first = this.state.log.lastIndex + 1;
    for (const [at, proposal] of proposals.entries()) this.appended.set(asLogIndex(first + at), proposal);
    return this.appender.appendCommands(proposals);
  }

  /** Reports that these proposals, the last ones of the log, are appended. Returns the traces of their requests. */
  private tracesOf(appended: readonly Proposal[]): string[] {
    const traces: string[] = [];
    const first = this.state.log.lastIndex - appended.length + 1;
    for (const [at, { requestId, trace }] of appended.entries()) {
      if (trace === undefined || requestId === undefined) continue;
      const index = asLogIndex(first + at);
      this.context.emit({ type: 'trace', requestId, stage: 'appended', index });
      this.traced.push({ requestId, index });
      if (traces.length < limits.messageTraces) traces.push(trace);
    }
    return traces;
  }

  /** All entries up to the commit index are committed. */
  onCommitted(): void {
    const { context, state, inFlight } = this;
    while (this.traced.length > 0 && (this.traced[0]?.index ?? 0) <= state.commitIndex) {
      const { requestId, index } = this.traced.shift() as TracedEntry;
      context.emit({ type: 'trace', requestId, stage: 'committed', index });
    }
    let committed = 0;
    for (const { last, sinceMs } of inFlight) {
      if (last > state.commitIndex) break;
      context.measures.commitSeconds.record((context.nowMs - sinceMs) / 1000);
      committed += 1;
    }
    if (committed > 0) this.inFlight = inFlight.slice(committed);
  }

  /** Replies to the request of this entry. */
  onApplied(index: LogIndex, result: unknown): void {
    const proposal = this.appended.get(index);
    if (proposal === undefined) return;
    this.appended.delete(index);
    this.bytes -= proposal.payload.length;
    if (proposal.requestId !== undefined) this.context.reply(proposal.requestId, result);
  }

  /** Nothing can be appended now: refuses the queued proposals. */
  refuseWaiting(code: ErrorCode, reason: string, outcome: Outcome): void {
    for (const { requestId, payload } of this.queue) {
      this.bytes -= payload.length;
      if (requestId !== undefined) this.context.refuse(requestId, code, reason, outcome);
    }
    this.queue = [];
  }

  /**
   * The leadership has ended: refuses all proposals. Those that were appended may still be committed.
   * @param waiting the outcome of the proposals that were not appended
   */
  refuseAll(reason: string, waiting: Outcome): void {
    for (const { requestId } of this.queue) {
      if (requestId !== undefined) this.context.refuse(requestId, 'EPERM', reason, waiting);
    }
    for (const { requestId } of this.appended.values()) {
      if (requestId !== undefined) this.context.refuse(requestId, 'EPERM', reason, 'unknown');
    }
    this.queue = [];
    this.inFlight = [];
    this.traced = [];
    this.appended.clear();
    this.bytes = 0;
    this.throttle.end();
  }
}
