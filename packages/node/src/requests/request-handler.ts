/**
 * The requests to one node, from their arrival to their answer: decides whether there is room, parses each in its turn, and
 * makes the reply of what the core returns. The node's process and the simulator handle all requests by this.
 *
 * Owns: the open requests. Does not own what a request does (the core), nor the subjects (`node-actor.ts`).
 *
 * Invariants:
 * 1. Each request is answered once.
 * 2. A request is decoded only in its turn: what waits takes no more memory than it did on arrival.
 * 3. A request whose turn comes later than `limits.requestTurnMs` after its arrival is refused, and not decoded.
 */
import type { Request } from '@conclave/actor';
import type { Instant, Service } from '@conclave/actor/core';
import {
  type Api,
  ConclaveError,
  type ConclaveEvent,
  commandOutcome,
  type ErrorBody,
  type GroupUid,
  limits,
  type Outcome,
} from '@conclave/protocol';
import type { NodeInput } from '../core/index.js';
import { OpenRequests, outcomeOf } from './open-requests.js';
import { type Addressee, isReadOnly, type ParsedRequest, parseRequest } from './parse-request.js';

/** What the handler asks of the node's core. */
export interface RequestedCore {
  /** The outcome of a write on the group's subjects that is refused now and was not parsed. */
  outcomeOfOverload(at: Instant): Outcome;
  summary(): { readonly level: number; readonly leader_id: string; readonly group_uid: GroupUid };
}

export interface RequestPorts {
  readonly service: Service;
  /** Returns the node's core, which a restart replaces. */
  readonly core: () => RequestedCore;
  readonly now: () => Instant;
  readonly generateId: () => string;
  /** Numbers the requests. */
  readonly nextRequestId: () => number;
  readonly publish: (event: ConclaveEvent) => void;
  /** Whether so much waits to be sent that large replies must not be added. */
  readonly isCongested: () => boolean;
  /** The size of the largest message that can be sent. */
  readonly messageBytes: () => number;
  /** The service failed to parse a request, with something else than a ConclaveError. */
  readonly onParseFailed: (name: string, error: unknown) => void;
}

function late(outcome: Outcome): ErrorBody {
  return new ConclaveError('EBUSY', `the request has waited ${limits.requestTurnMs} ms for its turn`, outcome).toBody();
}

export class RequestHandler {
  readonly open: OpenRequests;
  private stopped: ErrorBody | undefined;

  constructor(private readonly ports: RequestPorts) {
    this.open = new OpenRequests(ports.isCongested, ports.nextRequestId);
  }

  /**
   * Receives a request, or refuses it if there is no room.
   * @param enqueue is called with a function that parses it. That returns the input of the core; undefined: it was refused
   */
  receive(
    addressee: Addressee,
    api: Api,
    request: Request,
    enqueue: (parse: () => NodeInput | undefined) => void,
  ): void {
    const { ports } = this;
    const reads = isReadOnly(api, request.name, ports.service);
    if (this.stopped !== undefined) return request.refuse(outcomeOf(this.stopped, !reads));
    const outcome = (): Outcome => (addressee === 'peer' ? 'not_done' : ports.core().outcomeOfOverload(ports.now()));
    const id = this.open.add(request, reads, outcome);
    if (id === undefined) return;
    const { nowMs: receivedMs } = ports.now();
    enqueue(() => {
      if (ports.now().nowMs - receivedMs <= limits.requestTurnMs) return this.parse(addressee, api, request, id);
      this.open.refuse(id, late(outcome()));
      return undefined;
    });
  }

  /** The process stops: refuses all requests, those that come later too. */
  stop(error: ErrorBody): void {
    this.stopped = error;
    this.open.refuseAll(error);
  }

  private parse(addressee: Addressee, api: Api, request: Request, id: number): NodeInput | undefined {
    const { service, core, generateId } = this.ports;
    const { name, encoding } = request;
    try {
      const { level, leader_id: leaderId } = core().summary();
      const decoded = { addressee, api, name, encoding, body: request.decode(), trace: request.trace?.traceparent };
      const parsed = parseRequest(decoded, service, { level, leaderId, generateId });
      this.open.onParsed(id, this.responderOf(parsed, api, request));
      return parsed.input(id);
    } catch (error) {
      // Nothing of the request has been done.
      this.open.refuse(id, this.refusalOf(name, error).toBody());
      return undefined;
    }
  }

  private responderOf(parsed: ParsedRequest, api: Api, { name, caller }: Request) {
    const { service, core, publish, messageBytes } = this.ports;
    const { writes, audited } = parsed;
    return {
      writes,
      reply: (result: unknown) => {
        for (const event of parsed.events?.(result) ?? []) publish(event);
        return parsed.reply(result, { groupUid: core().summary().group_uid });
      },
      ...(api === 'kv' ? { fit: (reply: unknown) => service.fitReply?.(name, reply, messageBytes()) } : {}),
      ...(audited === undefined
        ? {}
        : {
            onReplied: (error: ErrorBody | undefined) =>
              publish({ name: 'admin_command', detail: commandOutcome(audited, caller, error) }),
          }),
    };
  }

  private refusalOf(name: string, error: unknown): ConclaveError {
    if (error instanceof ConclaveError) return error;
    this.ports.onParseFailed(name, error);
    return new ConclaveError('ESTATEMACHINE', 'the request could not be understood');
  }
}
