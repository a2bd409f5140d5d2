import { asGroupId, asPeerId, ConclaveError, encode, encodeJson, type StatusReply, Subjects } from '@conclave/protocol';
import { connect, type NatsConnection } from 'nats';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type NatsServer, startNats } from '../../../test/support/nats.js';
import {
  type GroupRequests,
  LiveSource,
  type LiveSourceOptions,
  type NoteRecord,
  type ViewRecord,
} from '../src/index.js';
import { status } from './samples.js';

const groupId = asGroupId('main');
const n1 = asPeerId('n1');
const subjects = new Subjects();
let server: NatsServer;
let publisher: NatsConnection;

beforeAll(async () => {
  server = await startNats();
  publisher = await connect({ servers: server.url, reconnectTimeWait: 50, maxReconnectAttempts: -1 });
});
afterAll(async () => {
  await publisher.close();
  await server.stop();
});

/** What a group of n1 alone replies. */
const requests: GroupRequests = {
  status: async (peer) => {
    if (peer !== undefined && peer !== n1) throw new ConclaveError('EUNREACHABLE', 'nobody listens');
    return status(0, 'n1', { role: 'leader' }).status as StatusReply;
  },
  discover: async () => [n1],
};

/** A live source, and a wait for a record that it delivers. */
async function live(more: Partial<LiveSourceOptions> = {}) {
  const connection = await connect({ servers: server.url, reconnectTimeWait: 50, maxReconnectAttempts: -1 });
  const source = new LiveSource({ connection, groupId, prefix: 'conclave', requests, ...more });
  const records: ViewRecord[] = [];
  const waiting: (() => void)[] = [];
  source.subscribe({
    onRecords: (next) => {
      records.push(...next);
      for (const look of waiting) look();
    },
    onRestarted: () => undefined,
    onControls: () => undefined,
  });
  await connection.flush();
  const until = <R extends ViewRecord>(matches: (record: ViewRecord) => record is R): Promise<R> =>
    new Promise((resolve) => {
      const look = () => {
        const found = records.find(matches);
        if (found !== undefined) resolve(found);
      };
      waiting.push(look);
      look();
    });
  const stop = async () => {
    await source.close();
    await connection.close();
  };
  return { source, records, until, connection, stop };
}

type Kind<K extends ViewRecord['kind']> = ViewRecord & { kind: K };
const ofKind =
  <K extends ViewRecord['kind']>(kind: K, matches: (record: Kind<K>) => boolean = () => true) =>
  (record: ViewRecord): record is Kind<K> =>
    record.kind === kind && matches(record as Kind<K>);
const note = (topic: string, text: RegExp) =>
  ofKind('note', (one: NoteRecord) => one.topic === topic && text.test(one.text));

function publishAcknowledgement(index: number): void {
  const ids = { group_id: 'main', group_uid: 'u', store_id: 's', session: 1, seq: 1 };
  const body = { ...ids, peer_id: 'n1', leader_id: 'n1', leader_term: 1, match_index: index };
  publisher.publish(subjects.message({ groupId, peerId: n1, recipient: 'feed' }, 'stored', n1), encode(body));
}

const admin = {
  group_id: 'main',
  peer_id: 'n1',
  term: 3,
  time: '2026-01-01T00:00:00.000Z',
  command: 'transfer_leader',
  outcome: 'done',
  code: '',
  caller: { name: 'me', source: 'named' },
};

it('a live group delivers its events, its messages, its states, and replies to its operators, in the order of time', async () => {
  const { until, records, stop } = await live();
  publisher.publish(subjects.event(groupId, 'admin_command', n1), encodeJson(admin));
  publishAcknowledgement(7);
  expect(await until(ofKind('event'))).toMatchObject({ name: 'admin_command', body: admin });
  expect(await until(ofKind('message', ({ to }) => to.actor === 'operator'))).toMatchObject({
    name: 'admin.transfer_leader.reply',
    from: { peer: 'n1', actor: 'node' },
    fields: { outcome: 'done', caller: 'me' },
  });
  expect(await until(ofKind('message', ({ name }) => name === 'feed.stored'))).toMatchObject({
    from: { peer: 'n1', actor: 'log-store' },
    to: { peer: 'n1', actor: 'feed' },
    fields: { match_index: 7 },
  });
  expect(await until(ofKind('status'))).toMatchObject({ peer: 'n1', status: { role: 'leader' } });
  const times = records.map(({ at }) => at);
  expect(times).toEqual(times.toSorted((one, other) => one - other));
  await stop();
});

it('the times of its records never decrease, although peers reply late and the clock is set back', async () => {
  let now = 1_000_000;
  let release = (): void => undefined;
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  const late = async (peer: string | undefined) => {
    // n2 replies after what happens next.
    if (peer === 'n2') await released;
    return status(0, peer ?? 'n1', { role: peer === 'n2' ? 'follower' : 'leader' }).status as StatusReply;
  };
  const { until, records, stop } = await live({
    nowMs: () => now--,
    requests: { status: late, discover: async () => [n1, asPeerId('n2')] },
  });
  await until(ofKind('status', ({ peer }) => peer === 'n1'));
  publishAcknowledgement(1);
  await until(ofKind('message'));
  release();
  await until(ofKind('status', ({ peer }) => peer === 'n2'));
  const times = records.map(({ at }) => at);
  expect(times).toEqual(times.toSorted((one, other) => one - other));
  await stop();
});

it('a busy group is shown as a sample, whose rate is known', async () => {
  const { until, stop } = await live({ messageRate: 10 });
  for (let index = 0; index < 500; index++) publishAcknowledgement(index);
  await publisher.flush();
  const { sent, shown } = await until(ofKind('rate', (rate) => rate.sent > 100));
  expect(shown).toBeLessThan(sent / 10);
  await stop();
});

it('messages are observed only while a browser shows the page, if that is wanted', async () => {
  const { source, until, records, connection, stop } = await live({ messagesForBrowsersOnly: true });
  publishAcknowledgement(1);
  await publisher.flush();
  source.onAudience(1);
  await connection.flush();
  publishAcknowledgement(2);
  await until(ofKind('message'));
  source.onAudience(0);
  await connection.flush();
  publishAcknowledgement(3);
  publisher.publish(subjects.event(groupId, 'admin_command', n1), encodeJson(admin));
  await until(ofKind('event'));
  const indexes = records.flatMap((one) => (one.kind === 'message' ? (one.fields.match_index ?? []) : []));
  expect(indexes).toEqual([2]);
  await stop();
});

it('a page without a leader, and without NATS, says so until they are back', async () => {
  let leads = false;
  const { until, stop } = await live({
    requests: {
      ...requests,
      status: (peer, timeoutMs) => {
        if (!leads) throw new ConclaveError('EUNREACHABLE', 'nobody listens');
        return requests.status(peer, timeoutMs);
      },
    },
  });
  await until(note('leader', /No leader replies/));
  leads = true;
  await until(note('leader', /^$/));
  await server.kill();
  await until(note('connection', /is lost/));
  await server.restart();
  await until(note('connection', /^$/));
  await stop();
});

it('names the role that is needed for what NATS does not permit, and continues', async () => {
  const denied = new ConclaveError('EPERM', 'NATS does not permit it');
  const { until, records, stop } = await live({
    requests: {
      status: async () => {
        throw denied;
      },
      discover: async () => {
        throw denied;
      },
    },
  });
  await until(note('permission:status', /the role observer/));
  expect(records.filter(note('leader', /./))).toEqual([]);
  publishAcknowledgement(9);
  await until(ofKind('message'));
  await stop();
});
