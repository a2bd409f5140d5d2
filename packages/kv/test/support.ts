import type { LeaderClock, ServiceRequest } from '@conclave/actor/core';
import { asLogIndex, type ClientId, decode, type GroupUid } from '@conclave/protocol';
import { KvService, KvStateMachine } from '../src/index.js';

export const replyContext = { groupUid: 'history-1' as GroupUid };
const service = new KvService();
/** How many ids were generated: no two requesters generate the same. */
let ids = 0;

/** Sends requests to a state machine, one entry each, as the leader of a group of one does. */
export class Requester {
  index = 0;
  /** Of the leader; undefined: this peer does not lead. */
  clock: LeaderClock | undefined;

  constructor(
    readonly stateMachine: KvStateMachine,
    /** Whether the state machine gets only the payload, as on a follower. */
    private readonly fromPayload = false,
    /** The group's feature level. */
    readonly level = 0,
  ) {}

  /** Returns the request as the service parses it. */
  parse(operation: string, body: unknown): ServiceRequest {
    return service.parse(operation, body, { level: this.level, generateId: () => this.generateId() });
  }

  private generateId(): string {
    ids += 1;
    return `id-${ids}`.padEnd(22, '-');
  }

  /** Returns the reply without its history, or throws the error of `reply`. */
  ask(operation: string, body: unknown): unknown {
    const { group_uid: _, ...reply } = this.reply(operation, body) as Record<string, unknown>;
    return reply;
  }

  private reply(operation: string, body: unknown): unknown {
    const request = this.parse(operation, body);
    if (request.type === 'read') return request.reply(this.stateMachine.query(request.query, this.clock), replyContext);
    if (request.type === 'watch' || request.type === 'unwatch') throw new Error('who watches asks the node');
    return request.reply(this.apply(request.payload, this.fromPayload ? undefined : request.command), replyContext);
  }

  apply(payload: Uint8Array, command?: unknown): unknown {
    this.index += 1;
    return this.stateMachine.apply(asLogIndex(this.index), payload, command);
  }

  results(body: unknown): unknown {
    return (this.ask('batch', body) as { results: unknown }).results;
  }

  openSession(): ClientId {
    return (this.ask('open_session', {}) as { client_id: ClientId }).client_id;
  }
}

/** The commands in the payload of a request. */
export function payloadOf(operation: string, body: unknown): unknown {
  const request = service.parse(operation, body);
  return request.type === 'write' ? decode(request.payload) : undefined;
}

/** Numbers below a bound: a small generator of its own, so that each run tests the same. */
export function generator(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** Returns the pieces of a snapshot of the present state. */
export function piecesOf(stateMachine: KvStateMachine): Uint8Array[] {
  return rest(stateMachine.snapshot());
}

/** Returns the pieces of a snapshot that were not read yet. */
export function rest(snapshot: Iterator<Uint8Array, void>): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (let next = snapshot.next(); next.done !== true; next = snapshot.next()) pieces.push(next.value);
  return pieces;
}

/** Returns a state machine after it was restored from these pieces. */
export function restoredFrom(pieces: readonly Uint8Array[], into = new KvStateMachine()): KvStateMachine {
  const restore = into.restore();
  for (const piece of pieces) {
    // As from a chunk, whose memory is used for something else afterwards.
    const copy = piece.slice();
    restore.take(copy);
    copy.fill(0xff);
  }
  restore.end();
  return into;
}

/** Returns a requester of another state machine that was restored from a snapshot of this one, at the same index and level. */
export function restored({ stateMachine, index, level }: Requester, fromPayload = false): Requester {
  const other = new Requester(restoredFrom(piecesOf(stateMachine)), fromPayload, level);
  other.index = index;
  return other;
}
