/**
 * The key-value store: what every peer makes of the same log.
 *
 * Owns the keys and the clients' sessions. Does not know who leads, who asks, or what time it is, but for
 * `housekeeping`, which only proposes.
 *
 * Invariants:
 * 1. The state and each result follow from the entries alone, in their order.
 * 2. No entry, whatever its bytes, makes `apply` throw.
 */
import type { StateMachine } from '@conclave/actor/core';
import { type Command, defaultTimes, type LogIndex } from '@conclave/protocol';
import { AnswerRoom } from './answer-room.js';
import { ClientSessions } from './client-sessions.js';
import { KeySpace } from './key-space.js';
import {
  decodeEntry,
  encodeEntry,
  type KvCommandResult,
  type KvEntry,
  type KvResult,
  type WriteEntry,
} from './kv-entry.js';
import type { KvFindings, KvQuery } from './kv-query.js';
import { bytesAnswered, transact } from './transaction.js';

export interface KvOptions {
  /** A session that is not used for so long, by the leader's clock, expires. */
  readonly clientSessionMs?: number;
}

const noSession: KvCommandResult = ['unknown', 'ESESSION', 'the session is unknown or has expired'];
/** Only a number that comes again within one request has a result without room in the answer. */
const askedTooOften: KvCommandResult = [
  'unknown',
  'EINVAL',
  'the number comes several times in one request, and its result is too long for that',
];

export class KvStateMachine implements StateMachine {
  private readonly keys = new KeySpace();
  private readonly sessions: ClientSessions;

  constructor(options: KvOptions = {}) {
    this.sessions = new ClientSessions(options.clientSessionMs ?? defaultTimes.clientSessionMs);
  }

  /**
   * Applies one committed entry.
   * @param command the `KvEntry` that the payload encodes, where this peer has it at hand.
   */
  apply(index: LogIndex, payload: Uint8Array, command?: unknown): KvResult {
    // Only the own service makes commands, and has checked them.
    const entry = command === undefined ? decodeEntry(payload) : (command as KvEntry);
    if (typeof entry === 'string') return { refused: entry };
    if ('commands' in entry) return { results: this.onWrite(index, entry) };
    if ('expire' in entry) return { expired: this.sessions.expire(entry.expire) };
    this.sessions.open(index);
    return { client_id: index };
  }

  /** Reads the state as it is. `query`: a `KvQuery` of the own service. */
  query(query: unknown): KvFindings[KvQuery['type']] {
    const asked = query as KvQuery;
    switch (asked.type) {
      case 'keys':
        return this.keys.find(asked.keys);
      case 'range':
        return this.keys.range(asked);
    }
  }

  housekeeping(nowMs: number): Uint8Array | undefined {
    const idle = this.sessions.idle(nowMs);
    return idle.length === 0 ? undefined : encodeEntry({ expire: idle });
  }

  private onWrite(index: LogIndex, entry: WriteEntry): KvCommandResult[] {
    if (entry.client_id === undefined) {
      const room = new AnswerRoom(() => Number.POSITIVE_INFINITY);
      return entry.commands.map((command) => this.execute(command, room));
    }
    const session = this.sessions.use(entry.client_id, index);
    if (session === undefined) return entry.commands.map(() => noSession);
    session.acknowledge(entry.acknowledged ?? 0);
    const room = new AnswerRoom(() => session.room);
    return entry.commands.map((command) => {
      const sequence = command[0];
      const before = session.resultOf(sequence);
      if (before !== undefined) return room.take(bytesAnswered(before)) ? before : askedTooOften;
      const result = this.execute(command, room);
      // What has no room now may have some when it is sent again.
      if (result[1] !== 'EBUSY') session.keep(sequence, result);
      return result;
    });
  }

  private execute(command: Command, room: AnswerRoom): KvCommandResult {
    switch (command[1]) {
      case 'txn':
        return transact(this.keys, command, room);
      case 'put':
        return ['done', this.keys.put(command[2], command[3]), true];
      case 'cas': {
        const revision = this.keys.at(command[2])?.revision ?? 0;
        return revision === command[4]
          ? ['done', this.keys.put(command[2], command[3]), true]
          : ['done', revision, false];
      }
      case 'delete': {
        const revision = this.keys.delete(command[2]);
        return ['done', revision, revision > 0];
      }
    }
  }
}
