/** A log-store's core on a bench: its storage is in memory, and nothing happens but what a test asks for. */
import type { Send } from '@conclave/actor/core';
import {
  asGroupId,
  asLogIndex,
  asPeerId,
  asSession,
  asTerm,
  type Body,
  type Configuration,
  encodeBatch,
  encodeConfigurationBatch,
  type GroupUid,
  type LogStoreMessage,
  type Message,
  type StoreId,
} from '@conclave/protocol';
import {
  batchKey,
  chunkKey,
  endOfPart,
  type Garbage,
  LogStoreCore,
  type LogStoreEffect,
  type LogStoreInput,
  type PlainOperation,
  type StorageOperation,
  truncationOperations,
} from '../src/core/index.js';
import { MemoryLogStorage } from '../src/memory-log-storage.js';

export const groupId = asGroupId('main');
export const self = asPeerId('n1');
export const leader = asPeerId('n2');
export const groupUid = 'uid-1' as GroupUid;
export const diskReserveBytes = 1000;
export const storeId = 'run-1.main' as StoreId;

/** A batch of that many commands, as a leader of `term` would make it. */
export function batch(first: number, count: number, term: number, size = 8): Uint8Array {
  const payloads = Array.from({ length: count }, (_, entry) => new Uint8Array(size).fill((first + entry + term) % 251));
  return encodeBatch('commands', asTerm(term), asLogIndex(first), payloads);
}

export function configurationBatch(index: number, term: number, configuration: Configuration): Uint8Array {
  return encodeConfigurationBatch(asTerm(term), asLogIndex(index), configuration);
}

export function configurationOf(...peers: string[]): Configuration {
  return {
    peers: peers.map((peer) => ({ peer_id: asPeerId(peer), store_id: `store-${peer}` as StoreId })),
    old_peers: [],
  };
}

/** What an append says unless a test says otherwise. */
export interface AppendSpecial {
  readonly seq: number;
  readonly link?: number;
  readonly session?: number;
  readonly leader?: string;
  readonly term?: number;
  readonly verified?: number;
  readonly truncateFrom?: number;
  readonly commit?: number;
  readonly uid?: string;
  readonly batches?: readonly Uint8Array[];
}

export function append(special: AppendSpecial): Message<'log-store.append'> {
  return {
    name: 'log-store.append',
    body: {
      group_id: groupId,
      store_id: storeId,
      session: asSession(special.session ?? 1),
      link: special.link ?? 1,
      seq: special.seq,
      group_uid: (special.uid ?? groupUid) as GroupUid,
      leader_id: asPeerId(special.leader ?? leader),
      leader_term: asTerm(special.term ?? 1),
      verified_index: asLogIndex(special.verified ?? 0),
      truncate_from: asLogIndex(special.truncateFrom ?? 0),
      commit_index: asLogIndex(special.commit ?? 0),
      batches: [...(special.batches ?? [])],
    },
  };
}

export function vote(seq: number, term: number, votedFor: string, session = 1): LogStoreMessage {
  const own = { group_id: groupId, store_id: storeId, session: asSession(session), link: 1, seq };
  return { name: 'log-store.vote', body: { ...own, term: asTerm(term), voted_for: votedFor as '' } };
}

export function tick(seq: number, session = 1, link = 1): LogStoreMessage {
  return {
    name: 'log-store.tick',
    body: { group_id: groupId, store_id: storeId, session: asSession(session), link, seq },
  };
}

export function confirm(tickId: number, session = 1): LogStoreMessage {
  const own = { group_id: groupId, store_id: storeId, session: asSession(session) };
  return { name: 'log-store.confirm', body: { ...own, term: asTerm(1), tick_id: tickId } };
}

export function open(nonce: string, incarnation: string, afterSession: number): LogStoreMessage {
  return {
    name: 'log-store.open',
    body: { group_id: groupId, nonce, incarnation, after_session: asSession(afterSession) },
  };
}

export function read(
  special: Partial<Record<'from' | 'bytes' | 'term' | 'session' | 'id', number>> & { reader?: 'node' },
): LogStoreMessage {
  return {
    name: 'log-store.read',
    body: {
      group_id: groupId,
      store_id: storeId,
      session: asSession(special.session ?? 1),
      request_id: special.id ?? 7,
      reader: special.reader ?? 'replicator',
      leader_term: asTerm(special.term ?? 1),
      from_index: asLogIndex(special.from ?? 1),
      max_bytes: special.bytes ?? 10_000,
    },
  };
}

export class StoreHarness {
  core: LogStoreCore;
  /** What was asked to be cleared and has not been: see `clear`. */
  clearings: Garbage[] = [];
  private chunkReads: Extract<LogStoreEffect, { type: 'read_chunk' }>[] = [];
  private outstanding: readonly StorageOperation[] | undefined;
  private reads: Extract<LogStoreEffect, { type: 'read' }>[] = [];

  constructor(
    readonly storage = new MemoryLogStorage(),
    public incarnation = 'run-1',
  ) {
    this.core = new LogStoreCore({ groupId, peerId: self, incarnation, diskReserveBytes });
  }

  /** Loaded, and session 1 open. */
  static opened(): StoreHarness {
    const bench = new StoreHarness();
    bench.start();
    bench.receive(open('nonce-1', 'run-1', 0));
    bench.write();
    return bench;
  }

  step(input: LogStoreInput): readonly LogStoreEffect[] {
    const effects = this.core.step(input);
    for (const effect of effects) {
      if (effect.type === 'write') this.outstanding = effect.operations;
      if (effect.type === 'read') this.reads.push(effect);
      if (effect.type === 'read_chunk') this.chunkReads.push(effect);
      if (effect.type === 'purge') this.clearings.push(effect.garbage);
    }
    return effects;
  }

  start(): Message[] {
    this.step({ type: 'start' });
    return sends(this.step({ type: 'loaded', rows: this.storage.loadNow(groupId) }));
  }

  /** The actor's process is killed and started again: what was not synced is gone. */
  restart(incarnation: string): Message[] {
    this.incarnation = incarnation;
    this.core = new LogStoreCore({ groupId, peerId: self, incarnation, diskReserveBytes });
    this.outstanding = undefined;
    this.reads = [];
    this.chunkReads = [];
    this.clearings = [];
    return this.start();
  }

  /** Hears messages, without a pause between. */
  receive(...messages: LogStoreMessage[]): Message[] {
    return messages.flatMap((message) => sends(this.step({ type: 'message', message })));
  }

  /** The mailbox is empty: what was collected is passed to the storage, or sent. */
  idle(): readonly LogStoreEffect[] {
    return this.step({ type: 'idle' });
  }

  /** The outstanding write is synced. */
  sync(): Message[] {
    const operations = this.outstanding;
    if (operations === undefined) throw new Error('no write is outstanding');
    this.outstanding = undefined;
    this.storage.apply(operations.flatMap((operation) => this.plain(operation)));
    return sends(this.step({ type: 'written' }));
  }

  /** The outstanding write reaches the storage, but the process is killed before it knows that. */
  syncUnheard(): void {
    this.storage.apply((this.outstanding ?? []).flatMap((operation) => this.plain(operation)));
    this.outstanding = undefined;
  }

  /** Idle, then the write synced. */
  write(): Message[] {
    this.idle();
    return this.sync();
  }

  /** Hears, is idle, and has it synced. */
  store(...messages: LogStoreMessage[]): Message[] {
    return [...this.receive(...messages), ...this.write()];
  }

  /** The reads that are under way are answered from what is stored. */
  finishReads(): readonly LogStoreEffect[] {
    return this.reads.splice(0).flatMap(({ token, range }) => {
      return this.step({ type: 'read_done', token, rows: this.storage.readNow(groupId, range) });
    });
  }

  /** The reads of chunks that are under way are answered from what is stored. */
  finishChunkReads(): readonly LogStoreEffect[] {
    return this.chunkReads.splice(0).flatMap(({ token, slot, number }) => {
      return this.step({ type: 'chunk_read', token, chunk: this.storage.rows.get(chunkKey(groupId, slot, number)) });
    });
  }

  /** What was asked to be cleared is. */
  clear(): void {
    for (const garbage of this.clearings.splice(0)) this.storage.purgeNow(groupId, garbage);
  }

  health() {
    return this.core.health();
  }

  get isWriting(): boolean {
    return this.outstanding !== undefined;
  }

  private plain(operation: StorageOperation): readonly PlainOperation[] {
    if (operation.type !== 'truncate') return [operation];
    const { from } = operation;
    const range = { fromIndex: asLogIndex(from - 1), lastIndex: asLogIndex(from - 1), maxBytes: 0, maxBatches: 1 };
    const keys = this.storage.keysNow(batchKey(groupId, 0), endOfPart(groupId, 'e'));
    return truncationOperations(groupId, from, keys, this.storage.readNow(groupId, range)[0]);
  }
}

export function sends(effects: readonly LogStoreEffect[]): Message[] {
  return effects.filter((effect): effect is Send => effect.type === 'send').map(({ message }) => message);
}

/** A message in short, for a test to compare. */
export function brief(messages: readonly Message[]): string[] {
  return messages.map(({ name, body }) => {
    switch (name) {
      case 'node.ack':
        return `ack ${body.session}:${body.link}:${body.seq}`;
      case 'feed.stored':
        return `stored ${body.match_index} for ${body.leader_id} term ${body.leader_term} seq ${body.seq}`;
      case 'node.opened':
        return `opened ${body.session} term ${body.term} last ${body.last_index} commit ${body.commit_index}`;
      case 'node.welcome':
        return `welcome ${body.incarnation} session ${body.session}`;
      case 'node.fenced':
        return `fenced ${body.refused_session} by ${body.session}`;
      case 'node.snapshot_chunk':
      case 'replicator.snapshot_chunk':
        return `${name} ${body.refusal || `${body.number} of ${body.snapshot_id}`}`;
      case 'node.disk':
        return `disk ${body.free_bytes}${body.is_low ? ' low' : ''}${body.problem === undefined ? '' : `, ${body.problem}`}`;
      case 'node.entries':
      case 'replicator.entries':
        return `${name} ${body.refusal || `${body.batches.length} after term ${body.prev_term}`}`;
      default:
        return name;
    }
  });
}

export type Opened = Body<'node.opened'>;

/** The only `opened` among these. */
export function openedIn(messages: readonly Message[]): Opened {
  const found = messages.flatMap((message) => (message.name === 'node.opened' ? [message.body] : []));
  const [opened] = found;
  if (opened === undefined || found.length > 1) throw new Error('not one `opened`');
  return opened;
}

/** The chunks that are stored, as `slot/number`. */
export function storedChunkKeys(storage: MemoryLogStorage): string[] {
  const keys = storage.keysNow(`${groupId}/s/`, `${groupId}/s/~`);
  return keys.map((key) => key.split('/').slice(2).map(Number).join('/'));
}

/** The entries of what is stored, as `index:term`. */
export function storedBatchKeys(storage: MemoryLogStorage): string[] {
  return storage.keysNow(batchKey(groupId, 0), endOfPart(groupId, 'e')).map((key) => String(Number(key.slice(-16))));
}
