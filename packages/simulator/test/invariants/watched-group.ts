/**
 * A real group of n1, n2, n3 with the spare peers n4 and n5, led by n1, observed by one invariant; and false messages
 * to inject.
 */
import type { StorageOperation } from '@conclave/log-store';
import {
  type ActorKind,
  addChecksum,
  type Body,
  type Configuration,
  encodeBatch,
  encodeConfiguration,
  type GroupId,
  type LogIndex,
  type Message,
  type MessageName,
  type PeerId,
  type StatusReply,
  type Term,
} from '@conclave/protocol';
import { expect } from 'vitest';
import { Invariants } from '../../src/invariants/all-invariants.js';
import type { Invariant } from '../../src/invariants/invariant.js';
import { InvariantViolation } from '../../src/invariants/invariant-violation.js';
import { RunRecord } from '../../src/invariants/record/run-record.js';
import type { Actor } from '../../src/mesh/actor.js';
import { DirectMesh } from '../support/direct-mesh.js';

export const [n1, n2, n3, n4, n5] = ['n1', 'n2', 'n3', 'n4', 'n5'] as PeerId[] as [
  PeerId,
  PeerId,
  PeerId,
  PeerId,
  PeerId,
];
export const groupId = 'main' as GroupId;

export class WatchedGroup {
  readonly mesh: DirectMesh;
  readonly invariants: Invariants;

  constructor(RuleOf: new (record: RunRecord) => Invariant) {
    const record = new RunRecord();
    this.invariants = new Invariants(record, [new RuleOf(record)]);
    this.mesh = new DirectMesh([n1, n2, n3, n4, n5]);
    record.clocks = this.mesh.clocks;
    this.watch();
    this.mesh.run(500);
    const founded = this.mesh.admin(n1, 'peer', 'bootstrap', { peers: [n1, n2, n3] });
    expect(this.mesh.answered(founded, 20_000)).toMatchObject({ result: { founded: true } });
    this.mesh.answered(this.mesh.put(n1, 'a', '1'));
    this.mesh.run(500);
  }

  /** Observes the run in addition to the mesh's own observer. */
  private watch(): void {
    const { invariants, mesh } = this;
    const { onReplied } = mesh.observer;
    mesh.observer = {
      onStepping: (...step) => invariants.onStepping(...step),
      onStepped: (actor) => invariants.onStepped(actor),
      onSent: (...sent) => invariants.onSent(...sent),
      onEvent: (...happened) => invariants.onEvent(...happened),
      onApplied: (...applied) => invariants.onApplied(...applied),
      onResult: (...applied) => invariants.onResult(...applied),
      onDigest: (...digest) => invariants.onDigest(...digest),
      onRestored: (...restored) => invariants.onRestored(...restored),
      onWritten: (...written) => invariants.onWritten(...written),
      onWiped: (peerId) => invariants.onWiped(peerId),
      onReplied: (requestId, answer) => {
        onReplied?.(requestId, answer);
        invariants.onReplied(requestId, answer);
      },
    };
  }

  /** Cuts these peers off from all others. */
  cutOff(...peers: PeerId[]): void {
    const others = [n1, n2, n3, n4, n5].filter((peer) => !peers.includes(peer));
    this.mesh.network.cut([peers, others], false);
  }

  status(peerId: PeerId): StatusReply {
    return this.mesh.status(peerId);
  }

  actor(peerId: PeerId, kind: ActorKind): Actor {
    return this.mesh.actor(peerId, kind) as Actor;
  }

  /** Returns the fields that messages between the actors of this peer have, and its id and term. */
  own(peerId: PeerId): Pick<StatusReply, 'group_id' | 'group_uid' | 'store_id' | 'session' | 'peer_id' | 'term'> {
    const { group_id, group_uid, store_id, session, peer_id, term } = this.status(peerId);
    return { group_id, group_uid, store_id, session, peer_id, term };
  }

  /** Returns the configuration of these peers with their stores. */
  configuration(peers: readonly PeerId[], oldPeers: readonly PeerId[] = []): Configuration {
    const members = (ids: readonly PeerId[]) =>
      ids.map((peer_id) => ({ peer_id, store_id: this.status(peer_id).store_id }));
    return { peers: members(peers), old_peers: members(oldPeers) };
  }

  /** Shows the invariants a sent message. `body`: the fields that matter here. */
  sendAs<N extends MessageName>(from: PeerId, kind: ActorKind, name: N, body: Partial<Body<N>>, to = from): void {
    this.invariants.onSent(this.actor(from, kind), to, { name, body } as unknown as Message);
  }

  /** Shows the invariants an append of a leader after its log. */
  appendAs(leader: PeerId, batches: readonly Uint8Array[], change: Partial<Body<'feed.append'>> = {}): void {
    const { term, last_index, commit_index } = this.status(leader);
    this.seq += 1;
    this.sendAs(leader, 'node', 'feed.append', {
      ...this.own(leader),
      link: 1,
      seq: this.seq,
      leader_id: leader,
      leader_term: term,
      verified_index: last_index,
      truncate_from: 0 as LogIndex,
      commit_index,
      batches: [...batches],
      ...change,
    });
  }

  private seq = 100_000;

  configurationBatch(term: Term, index: number, configuration: Configuration): Uint8Array {
    return encodeBatch('configuration', term, index as LogIndex, [encodeConfiguration(configuration)]);
  }

  /** Shows the invariants a write of this record on a peer's disk. */
  storeAs(peerId: PeerId, change: Record<string, unknown>, more: readonly StorageOperation[] = []): void {
    const { store_id, group_uid, term, session } = this.status(peerId);
    const meta = { store_id, group_uid, term, voted_for: '', session, ...change };
    this.invariants.onWritten(peerId, [...more, { type: 'put', key: `${groupId}/m`, value: addChecksum(meta) }]);
  }

  /** Returns a copy of the peer's actor whose node has another summary. */
  actorWithSummary(peerId: PeerId, change: Record<string, unknown>): Actor {
    const actor = this.actor(peerId, 'node');
    const summary = this.mesh.node(peerId).summary();
    const core = { step: () => [], summary: () => ({ ...summary, ...change }) };
    return Object.assign(Object.create(actor) as Actor, { core });
  }
}

/** Runs a step of the actor after which its core has this summary. */
export function setSummary(actor: Actor, summary: object): void {
  actor.stepCount += 2;
  Object.assign(actor.core, { summary: () => summary });
}

/** Expects `act` to break this invariant. */
export function expectBroken(name: string, act: () => void, seen: RegExp): void {
  let thrown: unknown;
  try {
    act();
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(InvariantViolation);
  expect(thrown).toMatchObject({ invariant: name });
  expect((thrown as InvariantViolation).seen).toMatch(seen);
}
