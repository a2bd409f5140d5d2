/** Promise 37: no request makes a peer publish anywhere but in an inbox: each subject that peers serve, with each kind of foreign reply subject. */
import {
  HealthReply,
  hostCommands,
  LogLevelName,
  processCommands,
  type StatusReply,
  serviceSubjects,
  serviceVerbs,
} from '@conclave/protocol';
import { Random } from '@conclave/simulator';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startNats } from '../support/nats.js';
import { actorKinds } from '../support/peers.js';
import { Mesh, Stops, until } from './fault-mesh.js';
import { sample } from './garbage-samples.js';
import { endpoints } from './garbage-subjects.js';

interface Served {
  readonly subject: string;
  readonly body: unknown;
}

const names = ['n1', 'n2', 'n3'];
const random = new Random(12);
const stops = new Stops();
let mesh: Mesh;
let before: StatusReply;

beforeAll(async () => {
  const server = await startNats();
  stops.add(() => server.stop());
  mesh = await Mesh.found({ servers: [server], peers: names, placement: 'one' }, stops);
  await mesh.healthy(...names);
  before = await mesh.leaderStatus();
});
afterAll(() => stops.run());

/** Subjects of Conclave, of NATS, of either behind a gateway, and those on which nobody can receive. */
const foreign = [
  'conclave.main.admin.transfer_leader',
  'conclave.main.n2.admin.snapshot',
  'conclave.main.n2.node.append_entries.n1',
  'conclave.main.event.leader_elected.n1',
  'conclave.main.watch.me.x',
  'conclave.main.history.n1',
  'conclave.admin.n1.delete_group',
  'conclave.admin.n1.node.log_level',
  'conclave',
  '$JS.API.STREAM.DELETE.x',
  '$SYS.REQ.SERVER.PING',
  '$SRV.STATS.conclave',
  '_GR_.a.b.conclave.main.admin.transfer_leader',
  '_GR_.a.b._GR_.c.d.$JS.API.INFO',
  '_INBOX.*',
  '_INBOX.x.>',
  '>',
  '*.main.admin.transfer_leader',
  '_INBOX..x',
  '_INBOX.x.',
];

/** Those that the server passes on: the first version that checks them drops the message instead. */
async function passedOn(): Promise<string[]> {
  const { nats } = mesh.plain;
  const received: string[] = [];
  const sentinel = nats.subscribe('sentinel', {
    callback: (_, { reply, data }) => {
      if (reply === Buffer.from(data).toString()) received.push(reply);
    },
  });
  for (const reply of foreign) nats.publish('sentinel', reply, { reply });
  await nats.flush();
  sentinel.unsubscribe();
  return received;
}

/** All that the peer alone serves. */
function servedBy(peer: string): Served[] {
  const asked = endpoints().filter(({ subject }) => subject.startsWith(`conclave.main.${peer}.`));
  return [
    ...asked.map(({ subject, request }) => ({ subject, body: request === undefined ? {} : sample(request, random) })),
    ...actorKinds.flatMap((actor) => [
      { subject: `conclave.main.${peer}.${actor}.health`, body: {} },
      { subject: `conclave.main.${peer}.${actor}.metrics`, body: {} },
      { subject: `conclave.admin.${peer}.${actor}.log_level`, body: { level: 'error' } },
      { subject: `conclave.admin.${peer}.${actor}.profile`, body: { kind: 'cpu', seconds: 1 } },
      { subject: `conclave.admin.${peer}.${actor}.profile_chunk`, body: { profile_id: 'x', number: 0 } },
    ]),
    ...Object.entries(hostCommands).map(([command, { request }]) => ({
      subject: `conclave.admin.${peer}.${command}`,
      body: sample(request, random),
    })),
  ];
}

/** How many requests the peer has refused because of their reply subject. */
async function refused(peer: string): Promise<number> {
  const { body } = await mesh.plain.ask(`${peer}.node.health`);
  return HealthReply.parse(body).dropped.reply_to_no_inbox ?? 0;
}

it('promise 37: a request whose reply would go elsewhere is counted and not carried out, on all that peers serve', async () => {
  const { nats } = mesh.plain;
  const replies = await passedOn();
  expect(replies.length).toBeGreaterThan(13);
  expect(Object.keys(processCommands)).toEqual(['log_level', 'profile', 'profile_chunk']);
  const own = new Map(names.map((peer) => [peer, servedBy(peer)]));
  const ofAll = serviceVerbs
    .flatMap((verb) => serviceSubjects(verb, 'x').slice(0, 2))
    .map((subject) => ({ subject, body: '' }));
  const ofGroup = endpoints()
    .filter(({ subject }) => /^conclave[.]main[.](admin|kv)[.]/.test(subject))
    .map(({ subject, request }) => ({ subject, body: request === undefined ? {} : sample(request, random) }));
  const had = new Map(await Promise.all(names.map(async (peer) => [peer, await refused(peer)] as const)));
  const sent: string[] = [];
  const observer = nats.subscribe('conclave.main.event.admin_command.*', {
    callback: (_, { subject }) => void sent.push(subject),
  });
  await nats.flush();

  for (const { subject, body } of [...[...own.values()].flat(), ...ofAll, ...ofGroup]) {
    for (const reply of replies) nats.publish(subject, JSON.stringify(body), { reply });
  }
  for (const peer of names) {
    // The leader alone serves the subjects of the group.
    const more = peer === before.peer_id ? ofGroup.length : 0;
    const subjects = (own.get(peer)?.length ?? 0) + ofAll.length + more;
    await until(`${peer} counts all`, async () => {
      expect((await refused(peer)) - (had.get(peer) ?? 0)).toBe(subjects * replies.length);
      return true;
    });
  }

  const { peer_id, term, configuration, snapshot } = await mesh.leaderStatus();
  expect({ peer_id, term, configuration, snapshot }).toEqual({
    peer_id: before.peer_id,
    term: before.term,
    configuration: before.configuration,
    snapshot: null,
  });
  for (const peer of names) {
    const level = await nats.request(`conclave.admin.${peer}.node.log_level`, '{}', { timeout: 10_000 });
    expect(LogLevelName.options).toContain(level.json<{ level: string }>().level);
    expect(level.json<{ level: string }>().level).not.toBe('error');
    const groups = await nats.request(`conclave.admin.${peer}.list_groups`, '{}', { timeout: 10_000 });
    expect(groups.json<{ groups: unknown[] }>().groups).toHaveLength(1);
  }
  expect(sent).toEqual([]);
  observer.unsubscribe();
});
