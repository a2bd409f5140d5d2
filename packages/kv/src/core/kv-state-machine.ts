/**
 * The key-value store: what every peer makes of the same log.
 *
 * Owns keys, values, revisions and the clients' sessions. Does not know who leads, who asks, or what time it is,
 * but for `housekeeping`, which only proposes.
 *
 * Invariants:
 * 1. The state and each result follow from the entries alone, in their order.
 * 2. `revision` counts the writes that changed something; no two keys have the same.
 * 3. No entry, whatever its bytes, makes `apply` throw.
 * 4. Nothing that is kept shares memory with the message that it came in: a small value would pin a large one.
 */
import type { StateMachine } from '@conclave/actor/core';
import { type Command, defaultTimes, invariant, type LogIndex, limits, type Value } from '@conclave/protocol';
import { ClientSessions } from './client-sessions.js';
import {
  decodeEntry,
  encodeEntry,
  type KvCommandResult,
  type KvEntry,
  type KvQuery,
  type KvQueryResult,
  type KvResult,
  type WriteEntry,
} from './kv-entry.js';

export interface KvOptions {
  /** A session that is not used for so long, by the leader's clock, expires. */
  readonly clientSessionMs?: number;
}

interface Stored {
  /** The text, or the bytes with one character each. */
  text: string;
  isBinary: boolean;
  revision: number;
}

const noSession: KvCommandResult = ['unknown', 'ESESSION', 'the session is unknown or has expired'];
const absent = [null, 0] as const;
/** About what the frame of one value takes in an answer. */
const foundOverheadBytes = 16;

export class KvStateMachine implements StateMachine {
  private readonly stored = new Map<string, Stored>();
  private readonly sessions: ClientSessions;
  private revision = 0;

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

  /** Reads keys as they are. `query`: a `KvQuery` of the own service. */
  query(query: unknown): KvQueryResult {
    const { keys } = query as KvQuery;
    const found: (readonly [Value | null, number])[] = [];
    let room: number = limits.foundBytes;
    for (const key of keys) {
      const stored = this.stored.get(key);
      room -= foundOverheadBytes + (stored === undefined ? 0 : sizeOf(stored));
      if (room < 0 && found.length > 0) break;
      found.push(stored === undefined ? absent : [keptValue(stored), stored.revision]);
    }
    return found;
  }

  housekeeping(nowMs: number): Uint8Array | undefined {
    const idle = this.sessions.idle(nowMs);
    return idle.length === 0 ? undefined : encodeEntry({ expire: idle });
  }

  private onWrite(index: LogIndex, entry: WriteEntry): KvCommandResult[] {
    if (entry.client_id === undefined) return entry.commands.map((command) => this.execute(command));
    const session = this.sessions.use(entry.client_id, index);
    if (session === undefined) return entry.commands.map(() => noSession);
    session.acknowledge(entry.acknowledged ?? 0);
    return entry.commands.map((command) => {
      const sequence = command[0];
      const before = session.resultOf(sequence);
      if (before !== undefined) return before;
      const result = this.execute(command);
      session.keep(sequence, result);
      return result;
    });
  }

  private execute(command: Command): KvCommandResult {
    const key = command[2];
    const stored = this.stored.get(key);
    switch (command[1]) {
      case 'put':
        return this.put(key, stored, command[3]);
      case 'cas': {
        const revision = stored?.revision ?? 0;
        return revision === command[4] ? this.put(key, stored, command[3]) : ['done', revision, false];
      }
      case 'delete': {
        if (stored === undefined) return ['done', 0, false];
        this.stored.delete(key);
        return ['done', this.nextRevision(), true];
      }
    }
  }

  private put(key: string, stored: Stored | undefined, value: Value): KvCommandResult {
    const revision = this.nextRevision();
    const isBinary = typeof value !== 'string';
    const text = isBinary ? oneCharacterEach(value) : detached(value);
    if (stored === undefined) {
      this.stored.set(detached(key), { text, isBinary, revision });
    } else {
      stored.text = text;
      stored.isBinary = isBinary;
      stored.revision = revision;
    }
    return ['done', revision, true];
  }

  private nextRevision(): number {
    invariant(this.revision < Number.MAX_SAFE_INTEGER, 'there are revisions left');
    this.revision += 1;
    return this.revision;
  }
}

function sizeOf({ text, isBinary }: Stored): number {
  return isBinary ? text.length : Buffer.byteLength(text);
}

function keptValue({ text, isBinary }: Stored): Value {
  return isBinary ? new Uint8Array(Buffer.from(text, 'latin1')) : text;
}

/**
 * Bytes as text. An array of bytes of its own would have to be got from the system and given back, which takes longer
 * than all else that a write does here; text is V8's own, and costs its length.
 */
function oneCharacterEach(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
}

/**
 * The same text in memory of its own. Decoding cuts texts from one long text of the whole message, and V8 keeps
 * that alive as long as any piece of 13 or more units; joining and cutting makes it copy.
 */
function detached(text: string): string {
  return text.length < 13 ? text : ` ${text}`.slice(1);
}
