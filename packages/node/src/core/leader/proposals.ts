/**
 * A leader's proposals. A proposal is the payload of an entry that a client's write request, or the leader's own housekeeping, adds
 * to the log. It waits in a queue and is appended as an entry. The client's request is answered when the entry has been applied.
 * Owns: the proposals that are queued, or appended and not applied yet. Does not own the log, nor how entries are committed.
 * Invariants:
 * 1. A proposal is in `queue` before its entry is appended; then it is in `appended`, under the index of its entry.
 * 2. The number and the bytes of the proposals in `queue` and `appended` together are bounded. A request that exceeds a bound is
 *    refused.
 */
import { asLogIndex, type ErrorCode, type LogIndex, limits, type Outcome } from '@conclave/protocol';
import type { LocalActors } from '../local/index.js';
import type { AppendedCommand, LogAppender } from '../log/index.js';
import type { NodeState } from '../state/index.js';
import type { StepContext } from '../step-context.js';
import { WriterThrottle } from './writer-throttle.js';

interface Proposal extends AppendedCommand {
  readonly requestId: number | undefined;
  /** The trace of the request, if the request has one. */
  readonly trace?: string | undefined;
}

/** An uncommitted entry whose request has a trace. */
interface TracedEntry {
  readonly requestId: number;
  readonly index: LogIndex;
}

/**
 * How many appends of all groups that a process hosts may be uncommitted at the same time. A group without an uncommitted append
 * may append even if the others have this many. The number is small, so that proposals that arrive meanwhile share the next
 * append. It is more than one, so that the disks always have something to write.
 */
export const appendsInFlight = 4;
/** The bytes that a batch needs for each entry in addition to the payload. */
const entryOverheadBytes = 4;

export class Proposals {
  private queue: Proposal[] = [];
  private readonly appended = new Map<LogIndex, Proposal>();
  /** The bytes of the payloads in `queue` and in `appended`. */
  private bytes = 0;
  /** The uncommitted appends: the last index of each, and when it was appended. */
  private inFlight: { readonly last: LogIndex; readonly appendedMs: number }[] = [];
  /** The uncommitted entries of requests with a trace, in the order of their indexes. */
  private traced: TracedEntry[] = [];
  readonly throttle: WriterThrottle;

  constructor(
    private readonly context: StepContext,
    private readonly state: NodeState,
    private readonly actors: LocalActors,
    private readonly appender: LogAppender,
  ) {
    this.throttle = new WriterThrottle(context.options.electionTimeoutMs);
  }

  /**
   * Queues a proposal, or refuses its request. The node calls `appendQueued` at the end of its turn (`idle`).
   * @param requestId the request to answer; undefined: the leader itself proposes, and gets no reply
   * @param payload the bytes of the entry
   * @param command the command that `payload` encodes
   * @param outcomeIfFull the outcome of the refusal if there is no room
   * @param trace the trace of the request, if it has one
   */
  propose(
    requestId: number | undefined,
    payload: Uint8Array,
    command: unknown,
    outcomeIfFull: Outcome = 'not_done',
    trace?: string,
  ): void {
    const waiting = this.queue.length + this.appended.size;
    const isFull = waiting >= limits.pendingProposals || this.bytes + payload.length > limits.pendingProposalBytes;
    if (payload.length > limits.entryBytes) {
      if (requestId !== undefined) {
        this.context.refuse(requestId, 'EINVAL', `the entry of a request has at most ${limits.entryBytes} bytes`);
      }
    } else if (isFull) {
      if (requestId !== undefined)
        this.context.refuse(requestId, 'EBUSY', 'too many writes are waiting', outcomeIfFull);
    } else {
      this.queue.push({ requestId, payload, command, trace });
      this.bytes += payload.length;
    }
  }

  /**
   * Appends queued proposals, in one append after the other, as long as two conditions hold. The links to this peer's actors have
   * room. This group has no uncommitted append, or the groups of the process have fewer than `appendsInFlight` in all. If writers
   * are throttled, sets a timer instead.
   * @param otherAppends how many appends of the process's other groups are uncommitted
   */
  appendQueued(otherAppends: number): void {
    const { context, throttle } = this;
    while (this.queue.length > 0 && this.mayAppend(otherAppends)) {
      const waitMs = throttle.waitMs(context.nowMs);
      if (waitMs > 0) return context.setTimer('throttle', waitMs);
      this.appendSome();
    }
  }

  /** How many appends are uncommitted. */
  get uncommitted(): number {
    return this.inFlight.length;
  }

  private mayAppend(otherAppends: number): boolean {
    const { actors, uncommitted } = this;
    return (
      (uncommitted === 0 || uncommitted + otherAppends < appendsInFlight) &&
      actors.hasRoom('log-store') &&
      actors.hasRoom('replicator') &&
      actors.hasRoom('ballot-box')
    );
  }

  /** Appends as many proposals as one `append` message of the feed may contain. */
  private appendSome(): void {
    let bytes = 0;
    let count = 0;
    for (let batches = 0; count < this.queue.length && batches < limits.appendBatches; batches += 1) {
      const length = this.batchLength(count, limits.appendBytes - bytes);
      if (length === 0) break;
      bytes += this.appendBatch(this.queue.slice(count, count + length));
      count += length;
    }
    const appended = this.queue.slice(0, count);
    this.queue = this.queue.slice(count);
    this.inFlight.push({ last: this.state.log.lastIndex, appendedMs: this.context.nowMs });
    this.throttle.onAppended(bytes);
    this.appender.announce(this.reportAppended(appended));
  }

  /**
   * Returns how many queued proposals, beginning with number `from` of the queue, fit into one batch of at most `room` bytes. The
   * first proposal of an append is always included, even if its batch is a few bytes larger than `limits.batchBytes`: no payload is larger
   * than `limits.entryBytes`, and an append has room for that.
   */
  private batchLength(from: number, room: number): number {
    const maxBytes = Math.min(limits.batchBytes, room);
    let bytes = 0;
    let count = 0;
    while (from + count < this.queue.length && count < limits.batchEntries) {
      bytes += entryOverheadBytes + (this.queue[from + count] as Proposal).payload.length;
      if (bytes > maxBytes && (count > 0 || from > 0)) break;
      count += 1;
    }
    return count;
  }

  /** Appends the proposals as one batch. Returns the size of the batch in bytes. */
  private appendBatch(proposals: readonly Proposal[]): number {
    const first = this.state.log.lastIndex + 1;
    for (const [at, proposal] of proposals.entries()) this.appended.set(asLogIndex(first + at), proposal);
    return this.appender.appendCommands(proposals);
  }

  /**
   * Reports, for each request with a trace, that its entry is appended. The entries of `appended` are the last ones of the log.
   * Returns the first `limits.messageTraces` of the traces.
   */
  private reportAppended(appended: readonly Proposal[]): string[] {
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

  /** The commit index has risen: removes committed appends from `inFlight`, and reports committed entries of traced requests. */
  onCommitted(): void {
    const { context, state, inFlight } = this;
    while (this.traced.length > 0 && (this.traced[0]?.index ?? 0) <= state.commitIndex) {
      const { requestId, index } = this.traced.shift() as TracedEntry;
      context.emit({ type: 'trace', requestId, stage: 'committed', index });
    }
    let committed = 0;
    for (const { last, appendedMs } of inFlight) {
      if (last > state.commitIndex) break;
      context.measures.commitSeconds.record((context.nowMs - appendedMs) / 1000);
      committed += 1;
    }
    if (committed > 0) this.inFlight = inFlight.slice(committed);
  }

  /** The entry at this index was applied: replies to its request with the result. */
  onApplied(index: LogIndex, result: unknown): void {
    const proposal = this.appended.get(index);
    if (proposal === undefined) return;
    this.appended.delete(index);
    this.bytes -= proposal.payload.length;
    if (proposal.requestId !== undefined) this.context.reply(proposal.requestId, result);
  }

  /** Refuses the queued proposals, because the leader cannot append entries now. */
  refuseWaiting(code: ErrorCode, reason: string, outcome: Outcome): void {
    for (const { requestId, payload } of this.queue) {
      this.bytes -= payload.length;
      if (requestId !== undefined) this.context.refuse(requestId, code, reason, outcome);
    }
    this.queue = [];
  }

  /**
   * The leadership has ended: refuses all proposals. The outcome of an appended proposal is `unknown`, because a later leader may
   * commit its entry.
   * @param queuedOutcome the outcome of the queued proposals
   */
  refuseAll(reason: string, queuedOutcome: Outcome): void {
    for (const { requestId } of this.queue) {
      if (requestId !== undefined) this.context.refuse(requestId, 'EPERM', reason, queuedOutcome);
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
