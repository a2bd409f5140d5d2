/** A group of replicators with its node's side of the link and a clock, for short scripts. */
import type { Log, Send } from '@conclave/actor/core';
import {
  asGroupId,
  asLogIndex,
  asPeerId,
  asSession,
  asTerm,
  type Body,
  batchHeader,
  encodeBatch,
  type GroupUid,
  limits,
  type Message,
  type Progress,
  type ReplicatorMessage,
  type SnapshotHead,
  type StoreId,
} from '@conclave/protocol';
import { ReplicatorGroupCore, SnapshotThrottle } from '../src/core/index.js';

export const groupId = asGroupId('main');
export const uid = 'uid' as GroupUid;
export const self = asPeerId('n1');
export const own = { group_id: groupId, store_id: 's1' as StoreId, session: asSession(1) };
export const times = { electionTimeoutMs: 1000, heartbeatIntervalMs: 100 };
export const term = 5;

type Target = Body<'replicator.targets'>['targets'][number];

/** `n2`: bound to store `s2`; `n2:s9`: to another; `n2:`: not bound, as it is new; a `+` behind: watched for having caught up. */
export function target(text: string): Target {
  const [peer = '', store] = text.replace('+', '').split(':');
  const storeId = (store ?? `s${peer.slice(1)}`) as StoreId;
  return { peer_id: asPeerId(peer), store_id: storeId, catching_up: text.endsWith('+') };
}

const MiB = 1024 * 1024;

export function throttle(bytesPerSecond: number): SnapshotThrottle {
  return new SnapshotThrottle({ bytesPerSecond, burstMs: 100 });
}

export class LedGroup {
  readonly core: ReplicatorGroupCore;
  nowMs = 0;
  tickId = 0;
  private link = 1;
  private seq = 0;
  private session = 1;

  constructor(snapshotThrottle = throttle(1024 * MiB)) {
    const options = { groupId, peerId: self, incarnation: 'r1', ...times };
    this.core = new ReplicatorGroupCore(options, { snapshotThrottle });
  }

  /** The effects of a step, in full. */
  step(message: ReplicatorMessage): readonly (Send | Log)[] {
    return this.core.step({ type: 'message', message }, this.at());
  }

  idle(): readonly (Send | Log)[] {
    return this.core.step({ type: 'idle' }, this.at());
  }

  /** The effects of a step, in short, without acknowledgements of the link and progress. */
  receive(message: ReplicatorMessage): string[] {
    return this.step(message)
      .map(format)
      .filter((line) => line !== '');
  }

  /** Leads with `n2` caught up at entry 10 of term 5. */
  inStep(targets = 'n2'): void {
    this.receive(this.lead(targets, 10));
    this.receive(stored('n2', 10));
  }

  /** A tick that much later: what goes out, in short. */
  tick(afterMs = 100, over: Partial<Body<'replicator.tick'>> = {}): string[] {
    return this.receive(this.tickMessage(afterMs, over));
  }

  tickMessage(afterMs = 100, over: Partial<Body<'replicator.tick'>> = {}): ReplicatorMessage {
    this.nowMs += afterMs;
    this.tickId += 1;
    const body = {
      ...this.own(),
      link: this.link,
      seq: this.seq,
      term: asTerm(term),
      leading: true,
      tick_id: this.tickId,
      commit_index: asLogIndex(0),
      ...over,
    };
    return { name: 'replicator.tick', body };
  }

  /** What the node receives about the targets on the next tick. */
  progress(afterMs = 0): Progress[] {
    const lines = this.step(this.tickMessage(afterMs)).flatMap((effect) =>
      effect.type === 'send' && effect.message.name === 'node.progress' ? [effect.message.body.targets] : [],
    );
    return lines[0] ?? [];
  }

  lead(
    targets: string,
    lastIndex: number,
    lastTerm = term,
    over: Partial<Body<'replicator.lead'>> = {},
  ): ReplicatorMessage {
    const body = {
      ...this.own(),
      ...this.frame(),
      peer_id: self,
      group_uid: uid,
      term: asTerm(term),
      last_index: asLogIndex(lastIndex),
      last_term: asTerm(lastTerm),
      commit_index: asLogIndex(0),
      configuration_index: asLogIndex(1),
      targets: targets.split(' ').filter(Boolean).map(target),
      ...over,
    };
    return { name: 'replicator.lead', body };
  }

  targets(targets: string, configurationIndex = 1): ReplicatorMessage {
    const body = {
      ...this.own(),
      ...this.frame(),
      term: asTerm(term),
      configuration_index: asLogIndex(configurationIndex),
      targets: targets.split(' ').filter(Boolean).map(target),
    };
    return { name: 'replicator.targets', body };
  }

  transfer(peer: string, lastIndex: number): ReplicatorMessage {
    const peerId = peer === '' ? ('' as const) : asPeerId(peer);
    const body = {
      ...this.own(),
      ...this.frame(),
      term: asTerm(term),
      peer_id: peerId,
      last_index: asLogIndex(lastIndex),
    };
    return { name: 'replicator.transfer', body };
  }

  stop(): ReplicatorMessage {
    return { name: 'replicator.stop', body: { ...this.own(), ...this.frame(), term: asTerm(term) } };
  }

  append(...batches: Uint8Array[]): Message<'replicator.append'> {
    const body = {
      ...this.own(),
      ...this.frame(),
      term: asTerm(term),
      commit_index: asLogIndex(0),
      runs: batches.map((batch) => {
        const { first, last } = batchHeader(batch);
        return { first_index: first, last_index: last, bytes: batch.length };
      }),
      batches,
    };
    return { name: 'replicator.append', body };
  }

  /** Only where these batches stand. */
  appendPlaces(...batches: Uint8Array[]): Message<'replicator.append'> {
    const { name, body } = this.append(...batches);
    return { name, body: { ...body, batches: [] } };
  }

  entries(requestId: number, fromIndex: number, prevTerm: number, batches: Uint8Array[], over = {}): ReplicatorMessage {
    const body = {
      ...this.own(),
      request_id: requestId,
      from_index: asLogIndex(fromIndex),
      prev_term: asTerm(prevTerm),
      batches,
      refusal: '' as const,
      more: false,
      ...over,
    };
    return { name: 'replicator.entries', body };
  }

  /** A chunk of a snapshot as the log-store answers it. */
  chunk(
    requestId: number,
    number: number,
    snapshotId: string,
    snapshotHead: SnapshotHead,
    over: Partial<Body<'replicator.snapshot_chunk'>> = {},
  ): ReplicatorMessage {
    const body = {
      ...this.own(),
      request_id: requestId,
      snapshot_id: snapshotId,
      head: snapshotHead,
      number,
      chunk: new Uint8Array([number]),
      refusal: '' as const,
      ...over,
    };
    return { name: 'replicator.snapshot_chunk', body };
  }

  /** Why the log-store does not answer a chunk. */
  noChunk(requestId: number, number: number, refusal: 'none' | 'replaced' | 'stale_term'): ReplicatorMessage {
    const nothing = { snapshot_id: '' as const, head: null, chunk: new Uint8Array(0) };
    const body = { ...this.own(), request_id: requestId, number, ...nothing, refusal };
    return { name: 'replicator.snapshot_chunk', body };
  }

  /** The node restarts its link, in a session. */
  beginLink(session = this.session): void {
    this.link = session === this.session ? this.link + 1 : 1;
    this.session = session;
    this.seq = 0;
  }

  frame() {
    this.seq += 1;
    return { link: this.link, seq: this.seq };
  }

  private own() {
    return { ...own, session: asSession(this.session) };
  }

  private at() {
    return { nowMs: this.nowMs, wallTimeMs: 0, random: 0 };
  }
}

/** Entries `first..last` of commands, padded to about so many bytes. */
export function commands(first: number, last = first, ofTerm = term, bytes = 0): Uint8Array {
  const count = last - first + 1;
  const payloads = Array.from({ length: count }, () => new Uint8Array(Math.max(1, Math.floor(bytes / count))));
  return encodeBatch('commands', asTerm(ofTerm), asLogIndex(first), payloads);
}

export function stored(name: string, matchIndex: number, over: Partial<Body<'feed.stored'>> = {}): ReplicatorMessage {
  const { peer_id, store_id } = target(name);
  const body = {
    group_id: groupId,
    group_uid: uid,
    peer_id,
    store_id,
    session: asSession(7),
    seq: 1,
    leader_id: self,
    leader_term: asTerm(term),
    match_index: asLogIndex(matchIndex),
    ...over,
  };
  return { name: 'feed.stored', body };
}

export function echo(name: string, tickId: number, over: Partial<Body<'feed.echo'>> = {}): ReplicatorMessage {
  const { peer_id, store_id } = target(name);
  const leader = { leader_id: self, leader_term: asTerm(term) };
  return {
    name: 'feed.echo',
    body: {
      group_id: groupId,
      group_uid: uid,
      peer_id,
      store_id,
      ...leader,
      tick_id: tickId,
      session_tick_id: 0,
      hears_feed: false,
      read_only: false,
      ...over,
    },
  };
}

/** @param conflict the term there and its first index. */
export function rejected(
  name: string,
  requestId: number,
  lastIndex: number,
  conflict: [number, number] = [0, 0],
  over: Partial<Body<'replicator.rejected'>> = {},
): ReplicatorMessage {
  const { peer_id, store_id } = target(name);
  const body = {
    group_id: groupId,
    group_uid: uid,
    peer_id,
    store_id,
    term: asTerm(term),
    request_id: requestId,
    reason: 'mismatch' as const,
    last_index: asLogIndex(lastIndex),
    conflict_term: asTerm(conflict[0]),
    conflict_index: asLogIndex(conflict[1]),
    ...over,
  };
  return { name: 'replicator.rejected', body };
}

export function identity(name: string, requestId: number, groupUid: string, lastIndex = 0): ReplicatorMessage {
  const { peer_id, store_id } = target(name);
  const history = { group_uid: groupUid as GroupUid, last_index: asLogIndex(lastIndex) };
  return {
    name: 'replicator.identity',
    body: { group_id: groupId, peer_id, request_id: requestId, store_id, ...history },
  };
}

/** The ids of requests in these lines. */
export function idOf(line: string | undefined): number {
  return Number(/#(\d+)/.exec(line ?? '')?.[1]);
}

function format(effect: Send | Log): string {
  if (effect.type === 'log') return `log ${effect.level}: ${effect.text}`;
  const { peerId, message } = effect;
  switch (message.name) {
    case 'node.append_entries':
      return toldAppendEntries(peerId, message.body);
    case 'node.identify':
      return `${peerId} identify #${message.body.request_id}`;
    case 'node.timeout_now':
      return `${peerId} timeout_now ${message.body.target_store_id}`;
    case 'node.install_snapshot':
      return toldSnapshot(peerId, message.body);
    case 'log-store.read_snapshot':
      return `read chunk ${message.body.number} of '${message.body.snapshot_id}' #${message.body.request_id}`;
    case 'log-store.read':
      return `read from ${message.body.from_index}, ${message.body.max_bytes} bytes #${message.body.request_id}`;
    default:
      return toldQuietly(message);
  }
}

function toldQuietly(message: Message): string {
  if (message.name === 'node.ack' || message.name === 'node.progress') return '';
  return message.name;
}

/** `n2 after 10/5 #3`, or `n2 11..14 after 10/5 #3`, with `subscribe to the feed` if it requests that. */
export function toldAppendEntries(peerId: string, body: Body<'node.append_entries'>): string {
  const headers = body.batches.map(batchHeader);
  const entries = headers.length === 0 ? '' : ` ${headers[0]?.first}..${headers.at(-1)?.last}`;
  const feed = body.hear_feed ? ' subscribe to the feed' : '';
  return `${peerId}${entries} after ${body.prev_index}/${body.prev_term} #${body.request_id}${feed}`;
}

/** `n2 chunk 3 of z1 #7`, or, where it only asks, `n2 how much of z1 #7`. */
function toldSnapshot(
  peerId: string,
  { chunk, number, snapshot_id, request_id }: Body<'node.install_snapshot'>,
): string {
  const what = chunk.length === 0 ? 'how much' : `chunk ${number}`;
  return `${peerId} ${what} of ${snapshot_id} #${request_id}`;
}

/** The head of a snapshot up to an entry of term 4. */
export function head(index: number, chunks: number, chunkBytes = limits.snapshotChunkBytes): SnapshotHead {
  const peers = [{ peer_id: self, store_id: own.store_id }];
  const configuration = { peers, old_peers: [] };
  return {
    index: asLogIndex(index),
    term: asTerm(4),
    configurations: [{ index: asLogIndex(1), configuration }],
    chunks,
    bytes: chunks * chunkBytes,
    checksum: 7,
  };
}

/** How many chunks a target has stored. */
export function snapshotStored(
  name: string,
  requestId: number,
  snapshotId: string,
  count: number | 'installed',
  over: Partial<Body<'replicator.snapshot_stored'>> = {},
): ReplicatorMessage {
  const { peer_id, store_id } = target(name);
  const body = {
    group_id: groupId,
    group_uid: uid,
    peer_id,
    store_id,
    term: asTerm(term),
    request_id: requestId,
    snapshot_id: snapshotId,
    stored: count === 'installed' ? 0 : count,
    installed: count === 'installed',
    ...over,
  };
  return { name: 'replicator.snapshot_stored', body };
}

export const readBytes = limits.replicatorReadBytes;
