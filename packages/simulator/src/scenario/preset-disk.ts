/**
 * The content of a disk before a scenario starts: written by a log-store's own core, so that it is what a real run
 * would have left.
 */
import { KvService } from '@conclave/kv';
import { LogStoreCore, type StorageOperation } from '@conclave/log-store';
import {
  asLogIndex,
  asSession,
  asTerm,
  type Configuration,
  encodeBatch,
  encodeConfigurationBatch,
  type GroupId,
  type GroupUid,
  invariant,
  type LogStoreMessage,
  type PeerId,
  type StoreId,
} from '@conclave/protocol';
import type { GivenCommand } from '../language/scenario-command.js';

export interface PresetDisk {
  readonly groupId: GroupId;
  readonly peerId: PeerId;
  /** The history of its group. */
  readonly groupUid: GroupUid;
  /** The term that was synced last, and the vote in it. */
  readonly term: number;
  readonly votedFor: PeerId | '';
  /** The index known to be committed. */
  readonly commitIndex: number;
  /** In order, from index 1. */
  readonly entries: readonly PresetEntry[];
}

/** An entry is a configuration or the payload of a command. */
export type PresetEntry = { readonly term: number } & (
  | { readonly configuration: Configuration }
  | { readonly payload: Uint8Array }
);

/** Returns the disk that a scenario describes. @param allPeers the members, if the command names none */
export function presetDiskOf(given: GivenCommand, groupId: GroupId, allPeers: readonly PeerId[]): PresetDisk {
  const peers = given.peers.length === 0 ? allPeers : (given.peers as readonly PeerId[]);
  const members = peers.map((peer_id) => ({ peer_id, store_id: presetStoreId(peer_id, groupId) }));
  const configuration: Configuration = { peers: members, old_peers: [] };
  const entries = given.terms.map((term, at): PresetEntry => {
    if (at === 0) return { term, configuration };
    // The value names the entry's index and term.
    const write = new KvService().parse('put', { key: `k${at + 1}`, value: `${at + 1}@${term}` });
    if (write.type !== 'write') throw new Error('a put is a write');
    return { term, payload: write.payload };
  });
  const groupUid = (given.foreign ? 'other' : 'given') as GroupUid;
  const { term, commit: commitIndex } = given;
  const votedFor = given.vote as PeerId | '';
  return { groupId, peerId: given.peer as PeerId, groupUid, term, votedFor, commitIndex, entries };
}

/** Returns the store id of a preset disk: known beforehand, as the configurations in the logs name it. */
export function presetStoreId(peerId: PeerId, groupId: GroupId): StoreId {
  return `${incarnationOf(peerId)}.${groupId}` as StoreId;
}

function incarnationOf(peerId: PeerId): string {
  return `given-${peerId}`;
}

/** Writes it with a log-store. `write` is called with each write in order. */
export function writePresetDisk(given: PresetDisk, write: (operations: readonly StorageOperation[]) => void): void {
  new Writer(given, write).run();
}

class Writer {
  private readonly core: LogStoreCore;
  private seq = 0;

  constructor(
    private readonly given: PresetDisk,
    private readonly write: (operations: readonly StorageOperation[]) => void,
  ) {
    const { groupId, peerId } = given;
    this.core = new LogStoreCore({ groupId, peerId, incarnation: incarnationOf(peerId), diskReserveBytes: 0 });
  }

  run(): void {
    const { given, core } = this;
    const group_id = given.groupId;
    core.step({ type: 'start' });
    const nothing = { meta: undefined, termRuns: [], configurations: [], lastBatch: undefined, snapshot: undefined };
    core.step({ type: 'loaded', rows: nothing });
    const incarnation = incarnationOf(given.peerId);
    const open = (after: number) => {
      const body = { group_id, nonce: `${incarnation}.${after}`, incarnation, after_session: asSession(after) };
      this.send({ name: 'log-store.open', body });
    };
    open(0);
    for (const [at, entry] of given.entries.entries()) this.append(at + 1, entry);
    const vote = { ...this.own, ...this.frame(), term: asTerm(given.term), voted_for: given.votedFor };
    this.send({ name: 'log-store.vote', body: vote });
    // Makes the commit index durable, which causes no write by itself.
    open(1);
    const { lastIndex } = core.durableState;
    invariant(lastIndex === given.entries.length, `the disk of ${given.peerId} holds what is given`);
  }

  private get own() {
    const { groupId, peerId } = this.given;
    return { group_id: groupId, store_id: presetStoreId(peerId, groupId), session: asSession(1) };
  }

  private frame() {
    this.seq += 1;
    return { link: 1, seq: this.seq };
  }

  private append(index: number, entry: PresetEntry): void {
    const first = asLogIndex(index);
    const term = asTerm(entry.term);
    const bytes =
      'configuration' in entry
        ? encodeConfigurationBatch(term, first, entry.configuration)
        : encodeBatch('commands', term, first, [entry.payload]);
    this.send({
      name: 'log-store.append',
      body: {
        ...this.own,
        ...this.frame(),
        group_uid: this.given.groupUid,
        leader_id: this.given.peerId,
        leader_term: term,
        verified_index: first,
        truncate_from: asLogIndex(0),
        commit_index: asLogIndex(Math.min(index, this.given.commitIndex)),
        batches: [bytes],
      },
    });
  }

  /** Sends one message, and executes its write, if there is one. */
  private send(message: LogStoreMessage): void {
    this.core.step({ type: 'message', message });
    for (const effect of this.core.step({ type: 'idle' })) {
      if (effect.type !== 'write') continue;
      this.write(effect.operations);
      this.core.step({ type: 'written' });
    }
  }
}
