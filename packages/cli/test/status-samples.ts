/** Statuses and events for the tests of views, complete as the protocol has them. */

import type { ObservedEvent } from '@conclave/observer';
import {
  asLogIndex,
  asPeerId,
  asSession,
  asTerm,
  type Configuration,
  type EventBody,
  type EventDetail,
  type EventName,
  events,
  type Progress,
  StatusReply,
} from '@conclave/protocol';

export const time = '2026-01-02T03:04:05.678Z';

export function observed<E extends EventName>(name: E, peerId: string, detail: EventDetail<E>): ObservedEvent {
  const body = { group_id: 'main', peer_id: peerId, term: 3, time, ...detail };
  return { name, body: events[name].schema.parse(body) as EventBody<E> } as ObservedEvent;
}

export function configuration(peers: readonly string[], oldPeers: readonly string[] = []): Configuration {
  const members = (names: readonly string[]) =>
    names.map((name) => ({ peer_id: asPeerId(name), store_id: `store-${name}` as never }));
  return { peers: members(peers), old_peers: members(oldPeers) };
}

export function progress(peerId: string, changes: Partial<Progress> = {}): Progress {
  return {
    peer_id: asPeerId(peerId),
    store_id: `store-${peerId}` as never,
    state: 'replicate',
    match_index: asLogIndex(5000),
    next_index: asLogIndex(5001),
    in_flight: 0,
    silent_ms: 12,
    caught_up: true,
    refusal: '',
    install: null,
    read_only: false,
    ...changes,
  };
}

export function status(peerId: string, changes: Partial<StatusReply> = {}): StatusReply {
  return StatusReply.parse({
    group_id: 'main',
    group_uid: 'uid',
    peer_id: peerId,
    store_id: `store-${peerId}`,
    session: asSession(2),
    role: 'follower',
    term: asTerm(3),
    leader_id: 'n1',
    configuration: configuration(['n1', 'n2', 'n3']),
    configuration_index: asLogIndex(2),
    stage: 'none',
    first_index: asLogIndex(1),
    last_index: asLogIndex(5000),
    last_term: asTerm(3),
    commit_index: asLogIndex(5000),
    applied_index: asLogIndex(4990),
    snapshot: null,
    taking: null,
    restoring: null,
    installing: null,
    lacking: { peers: [], old_peers: [] },
    progress: [],
    changes: [],
    health: { healthy: true, reason: '' },
    restart: [],
    read_only: '',
    disk_free_bytes: null,
    dropped: {},
    ...changes,
  });
}
