import type { ErrorBody } from '@conclave/protocol';
import {
  type Call,
  ClientCore,
  type ClientEffect,
  type ClientInput,
  type ClientOptions,
  type Reply,
} from '../src/index.js';

type RequestEffect = Extract<ClientEffect, { type: 'request' }>;

/** Drives a client's core by hand: the clock stands still until it is moved, and random numbers are always 0. */
export class Driver {
  readonly core: ClientCore;
  nowMs = 0;
  callId = 0;
  /** Every settlement so far, by call. */
  readonly settled = new Map<number, unknown>();
  /** The histories that are over. */
  readonly ended: string[] = [];
  /** Every request so far. */
  readonly requests: RequestEffect[] = [];
  private timerAtMs = Number.POSITIVE_INFINITY;

  constructor(options: ClientOptions = {}) {
    this.core = new ClientCore(options);
  }

  step(input: ClientInput): readonly ClientEffect[] {
    const effects = this.core.step(input, { nowMs: this.nowMs, random: 0 });
    for (const effect of effects) {
      switch (effect.type) {
        case 'request':
          this.requests.push(effect);
          break;
        case 'settle':
          if (this.settled.has(effect.callId)) throw new Error(`call ${effect.callId} is settled twice`);
          this.settled.set(effect.callId, effect.settlement);
          break;
        case 'set_timer':
          this.timerAtMs = this.nowMs + effect.afterMs;
          break;
        case 'history_ended':
          this.ended.push(effect.groupUid);
          break;
        case 'cancel_timer':
          this.timerAtMs = Number.POSITIVE_INFINITY;
          break;
      }
    }
    return effects;
  }

  call(call: Call, timeoutMs?: number): number {
    this.callId += 1;
    this.step({ type: 'call', callId: this.callId, call, timeoutMs });
    return this.callId;
  }

  put(key: string, timeoutMs?: number): number {
    return this.call({ operation: 'put', key, value: 'v' }, timeoutMs);
  }

  get(key: string): number {
    return this.call({ operation: 'get', key });
  }

  idle(): readonly ClientEffect[] {
    return this.step({ type: 'idle' });
  }

  /** The last request. */
  get last(): RequestEffect {
    const last = this.requests.at(-1);
    if (last === undefined) throw new Error('there is no request yet');
    return last;
  }

  reply(body: unknown, requestId = this.last.requestId): readonly ClientEffect[] {
    return this.answer({ type: 'body', body }, requestId);
  }

  error(error: Partial<ErrorBody>, requestId = this.last.requestId): readonly ClientEffect[] {
    return this.reply({ error: { code: 'EPERM', message: 'why', outcome: 'not_done', ...error } }, requestId);
  }

  answer(reply: Reply, requestId = this.last.requestId): readonly ClientEffect[] {
    return this.step({ type: 'reply', requestId, reply });
  }

  /** Lets time pass; the timer fires at its time, as often as it is set. */
  pass(ms: number): void {
    const untilMs = this.nowMs + ms;
    while (this.timerAtMs <= untilMs) {
      this.nowMs = this.timerAtMs;
      this.timerAtMs = Number.POSITIVE_INFINITY;
      this.step({ type: 'timer', timer: 'due' });
    }
    this.nowMs = untilMs;
  }

  /** Opens the session for which the calls so far wait, and sends them. */
  openSession(clientId = 7): void {
    this.idle();
    this.reply({ client_id: clientId });
    this.idle();
  }
}
