/** Records of a group {n1,n2,n3} that becomes {n1,n4,n5}, as an observer sees them. */
import { asPeerId, asTerm, type EventBody, type EventName, type GroupId } from '@conclave/protocol';
import {
  type MessageRecord,
  type Place,
  type ViewRecord as Record,
  type StatusRecord,
  ViewRecord,
} from '../src/index.js';

const group = 'main' as GroupId;
export const before = ['n1', 'n2', 'n3'];
export const after = ['n1', 'n4', 'n5'];

type Detail<E extends EventName> = Omit<EventBody<E>, 'group_id' | 'peer_id' | 'term' | 'time'>;

/** The details are those of the event; brands of numbers and names do not matter here. */
export function event<E extends EventName>(at: number, name: E, peer: string, detail: unknown): Record {
  const every = { group_id: group, peer_id: asPeerId(peer), term: asTerm(3), time: new Date(at).toISOString() };
  return { at, kind: 'event', name, body: { ...every, ...(detail as Detail<E>) } };
}

export function message(
  at: number,
  name: string,
  from: string,
  to: string,
  fields: MessageRecord['fields'],
): MessageRecord {
  return { at, kind: 'message', name, from: place(from), to: place(to), fields, bytes: 100 };
}

/** `n1.node` */
function place(text: string): Place {
  const [peer = '', actor = ''] = text.split('.');
  return { peer, actor: actor as Place['actor'] };
}

export function status(at: number, peer: string, parts: object = {}): StatusRecord {
  const record = {
    at,
    kind: 'status',
    peer,
    status: {
      group_id: group,
      group_uid: 'u1',
      peer_id: peer,
      store_id: `s-${peer}`,
      session: 1,
      role: 'follower',
      term: 3,
      leader_id: 'n1',
      configuration: { peers: before.map((name) => ({ peer_id: name, store_id: `s-${name}` })), old_peers: [] },
      configuration_index: 4,
      stage: 'none',
      first_index: 1,
      last_index: 100,
      commit_index: 100,
      applied_index: 100,
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
      ...parts,
    },
  };
  return ViewRecord.parse(record) as StatusRecord;
}

export function progress(peer: string, match: number, parts: object = {}): object {
  return {
    peer_id: peer,
    store_id: `s-${peer}`,
    state: 'replicate',
    match_index: match,
    next_index: match + 1,
    in_flight: 0,
    silent_ms: 20,
    caught_up: false,
    refusal: '',
    read_only: false,
    install: null,
    ...parts,
  };
}

const change = { kind: 'change', old_peers: before, new_peers: after };

/** The change from its beginning to its end, one second per stage. */
export function changeRecords(): Record[] {
  const stage = (at: number, name: string) => event(at, 'stage_changed', 'n1', { ...change, stage: name });
  const caughtUp = (at: number, peer: string, match: number) =>
    event(at, 'catchup_progress', 'n1', {
      new_peer: peer,
      state: match >= 100 ? 'caught_up' : 'lagging',
      match_index: match,
      last_index: 100,
      lag: 100 - match,
      percent: match,
    });
  const stored = (at: number, peer: string, index: number) =>
    message(at, 'feed.stored', `${peer}.log-store`, 'n1.feed', { match_index: index, leader_id: 'n1' });
  return [
    event(1000, 'leader_elected', 'n1', { peers: before, old_peers: [] }),
    status(1100, 'n1', { role: 'leader', progress: [progress('n2', 100), progress('n3', 90)] }),
    stage(2000, 'catching_up'),
    caughtUp(2100, 'n4', 10),
    caughtUp(2600, 'n4', 50),
    caughtUp(2900, 'n4', 100),
    caughtUp(2900, 'n5', 100),
    stage(3000, 'joint'),
    event(3001, 'configuration_appended', 'n1', { peers: after, old_peers: before, index: 101 }),
    stored(3100, 'n1', 101),
    stored(3200, 'n4', 101),
    stored(3300, 'n2', 101),
    event(3350, 'configuration_committed', 'n1', { peers: after, old_peers: before, index: 101 }),
    stage(4000, 'stable'),
    event(4001, 'configuration_appended', 'n1', { peers: after, old_peers: [], index: 102 }),
    stored(4100, 'n1', 102),
    stored(4200, 'n5', 102),
    event(4250, 'configuration_committed', 'n1', { peers: after, old_peers: [], index: 102 }),
    stage(4300, 'none'),
  ];
}
