/** Records every call of the clients and its outcome, for the linearizability check, and counts them for people. */
import { ConclaveError } from '@conclave/client';
import type { KvReply } from '@conclave/protocol';
import type { Operation } from '@conclave/simulator';

/** A call as it is made. */
export type KvCall =
  | { readonly name: 'put'; readonly key: string; readonly value: string }
  /** `peer`: a stale read at this peer; else a linearizable one. */
  | { readonly name: 'get'; readonly key: string; readonly peer?: string }
  | { readonly name: 'delete'; readonly key: string }
  | { readonly name: 'cas'; readonly key: string; readonly value: string; readonly expectedRevision: number };

export type KvAnswer = KvReply<'put'> | KvReply<'get'> | KvReply<'delete'> | KvReply<'cas'>;

export interface CallCount {
  done: number;
  notDone: number;
  unknown: number;
}

/** A time without a write that is reported. */
const notedGapMs = 4000;

export class Recorder {
  readonly history: Operation[] = [];
  readonly counts: Record<KvCall['name'], CallCount> = { put: none(), get: none(), delete: none(), cas: none() };
  /** Calls that were not done or are unknown, by code. */
  readonly codes: Record<string, number> = {};
  /** Errors of clients that are no outcomes; there must be none. */
  readonly errors: string[] = [];
  /** Grows with each call and each answer, so that no two have the same time. */
  private clock = 0;
  private begun = 0;
  private lastWriteMs = performance.now();
  private longestMs = 0;

  constructor(private readonly note: (text: string) => void) {}

  /**
   * Makes a call and records its outcome.
   * @returns the reply; undefined: it was not done, or that is unknown
   */
  async record(client: string, call: KvCall, make: () => Promise<KvAnswer>): Promise<KvAnswer | undefined> {
    this.clock += 1;
    this.begun += 1;
    const called = this.clock;
    const count = this.counts[call.name];
    const end = (ended: object): void => {
      this.clock += 1;
      this.history.push({ ...asOperation(call), client, called, returned: this.clock, ...ended } as Operation);
    };
    try {
      const reply = await make();
      end({ outcome: 'done', reply });
      count.done += 1;
      if (call.name !== 'get') this.onWritten();
      return reply;
    } catch (error) {
      const { outcome, code } = this.endOf(error);
      end({ outcome });
      count[outcome === 'unknown' ? 'unknown' : 'notDone'] += 1;
      this.codes[`${code} ${outcome}`] = (this.codes[`${code} ${outcome}`] ?? 0) + 1;
      return undefined;
    }
  }

  /** Calls that are in progress. */
  get open(): number {
    return this.begun - this.history.length;
  }

  /** Calls that have ended. */
  get ended(): number {
    return this.history.length;
  }

  /** Restarts the measurement of the time without a write. */
  startWatch(): void {
    this.lastWriteMs = performance.now();
    this.longestMs = 0;
  }

  sinceLastWriteMs(): number {
    return performance.now() - this.lastWriteMs;
  }

  /** The longest time in which no write was acknowledged, up to now. */
  longestWithoutWriteMs(): number {
    return Math.max(this.longestMs, this.sinceLastWriteMs());
  }

  private onWritten(): void {
    const nowMs = performance.now();
    const gapMs = nowMs - this.lastWriteMs;
    if (gapMs > notedGapMs) this.note(`the first write after ${Math.round(gapMs)} ms`);
    this.longestMs = Math.max(this.longestMs, gapMs);
    this.lastWriteMs = nowMs;
  }

  private endOf(error: unknown): { outcome: 'not_done' | 'unknown'; code: string } {
    if (error instanceof ConclaveError) return error;
    this.errors.push(error instanceof Error ? (error.stack ?? error.message) : String(error));
    return { outcome: 'unknown', code: 'thrown' };
  }
}

function asOperation(call: KvCall): object {
  if (call.name !== 'get') return call;
  const { name, key, peer } = call;
  return { name, key, consistency: peer === undefined ? 'linearizable' : 'stale' };
}

function none(): CallCount {
  return { done: 0, notDone: 0, unknown: 0 };
}
