/** What all parts of a node share within one step: the time, and the effects that were emitted so far. */
import type { Instant, Send } from '@conclave/actor/core';
import {
  type ConclaveEvent,
  DropCounter,
  type ErrorCode,
  type EventDetail,
  type EventName,
  errorBody,
  type GroupUid,
  type Message,
  noGroupUid,
  type Outcome,
  type PeerId,
} from '@conclave/protocol';
import type { NodeEffect, NodeOptions, NodeTimer } from './inputs-and-effects.js';
import { NodeMeasures } from './node-measures.js';

export class StepContext {
  readonly measures = new NodeMeasures();
  private readonly drops = new DropCounter();
  private effects: NodeEffect[] = [];
  private instant: Instant = { nowMs: 0, wallTimeMs: 0, random: 0 };

  constructor(readonly options: NodeOptions) {}

  begin(at: Instant): void {
    this.instant = at;
    this.effects = [];
  }

  take(): readonly NodeEffect[] {
    return this.effects;
  }

  get nowMs(): number {
    return this.instant.nowMs;
  }

  get wallTimeMs(): number {
    return this.instant.wallTimeMs;
  }

  get random(): number {
    return this.instant.random;
  }

  emit(effect: NodeEffect): void {
    this.effects.push(effect);
  }

  send(peerId: PeerId, message: Message): void {
    this.emit(sendOf(peerId, message));
  }

  /** Sends a message to one of this peer's own actors. */
  sendLocal(message: Message): void {
    this.send(this.options.peerId, message);
  }

  setTimer(timer: NodeTimer, afterMs: number): void {
    this.emit({ type: 'set_timer', timer, afterMs });
  }

  cancelTimer(timer: NodeTimer): void {
    this.emit({ type: 'cancel_timer', timer });
  }

  event<E extends EventName>(name: E, detail: EventDetail<E>): void {
    this.emit({ type: 'event', event: { name, detail } as unknown as ConclaveEvent });
  }

  log(level: 'debug' | 'info' | 'warn' | 'error', text: string, fields?: Record<string, unknown>): void {
    this.emit({ type: 'log', level, text, ...(fields === undefined ? {} : { fields }) });
  }

  /** How many messages and requests were dropped, by reason. */
  get dropped(): Readonly<Record<string, number>> {
    return this.drops.byReason;
  }

  drop(reason: string): void {
    this.drops.count(reason);
  }

  /** Refuses a request that names another history than this one. @returns whether it did */
  refuseOtherHistory(requestId: number, named: string | undefined, groupUid: GroupUid): boolean {
    if (named === undefined || named === groupUid) return false;
    if (groupUid === noGroupUid) {
      this.refuse(requestId, 'EBUSY', 'this peer holds nothing of the group yet');
      return true;
    }
    this.refuse(requestId, 'EHISTORY', `the group's history is ${groupUid}, and the request is for ${named}`);
    return true;
  }

  reply(requestId: number, result: unknown): void {
    this.emit({ type: 'reply', requestId, result });
  }

  refuse(requestId: number, code: ErrorCode, message: string, outcome: Outcome = 'not_done', leaderId?: string): void {
    const error = errorBody(code, message, outcome, leaderId === '' ? undefined : leaderId);
    this.emit({ type: 'refuse', requestId, error });
  }
}

export function sendOf(peerId: PeerId, message: Message): Send {
  return { type: 'send', peerId, message };
}
