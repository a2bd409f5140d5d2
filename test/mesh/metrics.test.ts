/** The metrics of a real mesh: over NATS, by the exporter, and by a process's own HTTP server. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { commonLabels, type MetricName, MetricsReply, metrics } from '@conclave/protocol';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startExporter } from '../support/exporter.js';
import { makeFolder, removeFolder } from '../support/leftovers.js';
import { type NatsServer, startNats } from '../support/nats.js';
import { ActorProcess, actorKinds, startPeer } from '../support/peers.js';
import { Mesh, Stops, until } from './fault-mesh.js';

const names = ['n1', 'n2', 'n3'];
const stops = new Stops();
let server: NatsServer;
let mesh: Mesh;

beforeAll(async () => {
  server = await startNats();
  stops.add(() => server.stop());
  mesh = await Mesh.found({ servers: [server], peers: names, placement: 'two' }, stops);
  await mesh.healthy(...names);
});
afterAll(() => stops.run());

/** One line of a page of metrics. */
interface Series {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** Parses a page; each line must be a comment or a series. */
function parse(page: string): Series[] {
  return page
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('# '))
    .map((line) => {
      const [, name = '', labels = '', value = ''] = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
      expect(name, line).not.toBe('');
      const found = [...labels.matchAll(/([a-z_]+)="((?:[^"\\]|\\.)*)"/g)].map(([, key = '', text = '']) => [
        key,
        text,
      ]);
      return { name, labels: Object.fromEntries(found), value: value === '+Inf' ? Infinity : Number(value) };
    });
}

async function pageOf(url: string): Promise<Series[]> {
  const response = await fetch(url);
  expect(response.status).toBe(200);
  return parse(await response.text());
}

/** The name of a metric, of the name of a series. */
function metricOf(name: string): string {
  return Object.hasOwn(metrics, name) ? name : name.replace(/_(bucket|sum|count)$/, '');
}

describe('the exporter', () => {
  let url: string;
  beforeAll(async () => {
    url = await startExporter(server.url, stops);
  });

  it('serves the metrics of all peers and actors, each of the table and no other', async () => {
    await mesh.plain.insist('kv.put', { key: 'k', value: 'v' });
    await mesh.plain.ask('kv.get', { key: 'k' });
    await mesh.plain.ask('n1.admin.snapshot', {});
    await mesh.plain.ask('admin.check', {});
    await mesh.plain.nats.request('conclave.main.kv.no_such_operation', '{}');
    // A reply to a subject of Conclave is never sent.
    for (const peer of names)
      mesh.plain.nats.publish(`conclave.main.${peer}.node.health`, '{}', { reply: 'conclave.x' });
    // Some appear with the first tick, the first measurement of the disk, or the first stale message.
    const all = await until('every metric is there', async () => {
      const page = await pageOf(url);
      const found = new Set(page.map(({ name }) => metricOf(name)));
      expect(Object.keys(metrics).filter((name) => !found.has(name))).toEqual([]);
      expect([...found].filter((name) => !Object.hasOwn(metrics, name))).toEqual([]);
      return page;
    });
    for (const { name, labels } of all) {
      const { source, labels: own } = metrics[metricOf(name) as MetricName];
      const le = name.endsWith('_bucket') ? ['le'] : [];
      expect(Object.keys(labels).toSorted(), name).toEqual([...commonLabels[source], ...own, ...le].toSorted());
    }
    const up = all.filter(({ name }) => name === 'conclave_up');
    expect(up.map(({ labels, value }) => `${labels.peer} ${labels.actor} ${value}`).toSorted()).toEqual(
      names.flatMap((peer) => actorKinds.map((actor) => `${peer} ${actor} 1`)).toSorted(),
    );
    // Each process once, though several actors share one.
    const starts = all.filter(({ name }) => name === 'conclave_process_start_time_seconds');
    expect(starts.map(({ labels }) => `${labels.peer} ${labels.process}`).toSorted()).toEqual(
      names.flatMap((peer) => [`${peer} ballot-box+replicator+node`, `${peer} log-store`]).toSorted(),
    );
  });

  it('measures what happens: a write is counted, timed, committed, synced and applied', async () => {
    const sum = async (name: string, wanted: Readonly<Record<string, string>> = {}) =>
      (await pageOf(url))
        .filter(
          (series) =>
            series.name === name && Object.entries(wanted).every(([key, text]) => series.labels[key] === text),
        )
        .reduce((total, { value }) => total + value, 0);
    const puts = { api: 'kv', operation: 'put', outcome: 'done' };
    const counted = [
      ['conclave_request_seconds_count', puts],
      ['conclave_commit_seconds_count'],
      ['conclave_sync_seconds_count'],
      ['conclave_apply_seconds_count'],
      ['conclave_messages_sent_total', { message: 'feed.append' }],
      ['conclave_published_bytes_total', { message: 'feed.append' }],
    ] as const;
    const before = await Promise.all(counted.map(([name, labels]) => sum(name, labels)));
    for (let at = 0; at < 10; at++) await mesh.plain.ask('kv.put', { key: `key-${at}`, value: 'v' });
    const after = await Promise.all(counted.map(([name, labels]) => sum(name, labels)));
    for (const [at, [name]] of counted.entries()) {
      expect((after[at] as number) - (before[at] as number), name).toBeGreaterThanOrEqual(10);
    }
    expect((after[0] as number) - (before[0] as number)).toBe(10);
  });

  it('reports a member that is gone as down, until it is back, and shows the new leader', async () => {
    const { peer_id: leader } = await mesh.leaderStatus();
    await mesh.peer(leader).kill();
    const isUp = (page: readonly Series[]) =>
      page.filter(({ name, labels }) => name === 'conclave_up' && labels.peer === leader).map(({ value }) => value);
    expect(isUp(await pageOf(url))).toEqual([0, 0, 0, 0]);
    await until('another peer leads', async () => {
      const page = await pageOf(url);
      const leads = page.filter(
        ({ name, labels, value }) => name === 'conclave_node_role' && labels.role === 'leader' && value === 1,
      );
      expect(leads.map(({ labels }) => labels.peer)).not.toContain(leader);
      expect(leads).toHaveLength(1);
      return true;
    });
    await mesh.peer(leader).start();
    await mesh.healthy(...names);
    expect(isUp(await pageOf(url))).toEqual([1, 1, 1, 1]);
  });

  it('reports a group as down when all of its peers are gone, and forgets a group that is deleted', async () => {
    const upOf = async (group: string) =>
      (await pageOf(url))
        .filter(({ name, labels }) => name === 'conclave_up' && labels.group === group)
        .map(({ labels, value }) => `${labels.peer} ${labels.actor} ${value}`)
        .toSorted();
    const ofPeer = (value: number) => actorKinds.map((actor) => `n4 ${actor} ${value}`).toSorted();
    const options = { peer: 'n4', nats: [server.url], placement: 'one', groups: ['solo'] } as const;
    const alone = await startPeer(options);
    stops.add(() => alone.stop());
    expect(await upOf('solo')).toEqual(ofPeer(1));
    await mesh.plain.nats.request('conclave.admin.n4.create_group', '{"group_id":"short"}', { timeout: 10_000 });
    expect(await upOf('short')).toEqual(ofPeer(1));
    await mesh.plain.nats.request('conclave.admin.n4.delete_group', '{"group_id":"short"}', { timeout: 10_000 });
    expect(await upOf('short')).toEqual([]);
    await alone.kill();
    expect(await upOf('solo')).toEqual(ofPeer(0));
    expect(await upOf('solo')).toEqual(ofPeer(0));
  });

  it('answers requests that arrive together by one round of requests', async () => {
    const pages = await Promise.all(Array.from({ length: 5 }, () => pageOf(url)));
    const times = pages.map((page) => page.find(({ name }) => name === 'conclave_exporter_seconds')?.value);
    expect(new Set(times).size).toBe(1);
  });
});

it('an actor answers `metrics` in JSON and msgpack, and drops nothing for it', async () => {
  const { body } = await mesh.plain.ask('n2.log-store.metrics');
  const reply = MetricsReply.parse(body);
  expect(reply).toMatchObject({ group_id: 'main', peer_id: 'n2', actor: 'log-store' });
  expect(reply.process?.process).toBe('log-store');
  expect(MetricsReply.parse((await mesh.plain.ask('n2.node.metrics')).body).process).toBeUndefined();
});

describe('conclave run --http', () => {
  it('is alive without NATS, and reports what it waits for', async () => {
    const gone = await startNats();
    await gone.stop();
    const args = ['--peer', 'h', '--actors', 'node', '--nats', gone.url, '--http', '127.0.0.1:0'];
    const waiting = new ActorProcess('waiting', args, {});
    const started = waiting.start();
    const { url } = await waiting.line(({ msg }) => msg === 'serves metrics and health');
    expect(await (await fetch(`${url}/livez`)).text()).toBe('ok\n');
    const ready = await fetch(`${url}/readyz`);
    expect([ready.status, await ready.text()]).toEqual([
      503,
      expect.stringContaining('[-] actors: the process is starting'),
    ]);
    expect((await fetch(`${url}/metrics`)).status).toBe(200);
    await waiting.stop();
    await expect(started).rejects.toThrow('ended with 0');
  });

  it('serves its own metrics and checks; a lost NATS makes it unready, not dead', async () => {
    const own = await startNats();
    const peer = await startPeer({ peer: 'h1', nats: [own.url], placement: 'one', args: ['--http', '127.0.0.1:0'] });
    try {
      const [only] = peer.processes as [ActorProcess];
      const { url } = await only.line(({ msg }) => msg === 'serves metrics and health');
      const ready = async () => (await fetch(`${url}/readyz?verbose`)).text();
      const started = [
        '[+] nats: ok',
        ...['log-store', 'ballot-box', 'replicator', 'node'].map((kind) => `[+] main/${kind}: ok`),
      ];
      await until('it is ready', async () => {
        expect(await ready()).toBe(`${[...started, 'readyz check passed'].join('\n')}\n`);
        return true;
      });
      const page = await pageOf(`${url}/metrics`);
      expect(page.filter(({ name }) => name === 'conclave_up')).toEqual([]);
      expect(new Set(page.flatMap(({ labels }) => labels.actor ?? []))).toEqual(new Set(actorKinds));
      await own.stop();
      await until('it is not ready', async () => {
        expect(await ready()).toContain('[-] nats:');
        return true;
      });
      expect(await (await fetch(`${url}/livez`)).text()).toBe('ok\n');
      expect((await pageOf(`${url}/metrics`)).find(({ name }) => name === 'conclave_nats_connected')?.value).toBe(0);
    } finally {
      await peer.stop();
      await own.stop();
    }
  });

  it('takes its address from the environment and from a configuration file', async () => {
    const folder = makeFolder('http');
    stops.add(async () => removeFolder(folder));
    const file = path.join(folder, 'conclave.yaml');
    writeFileSync(file, 'http: 127.0.0.1:0\n');
    const gone = await startNats();
    await gone.stop();
    const args = ['--peer', 'h3', '--actors', 'node', '--nats', gone.url];
    for (const [more, env] of [
      [['--config', file], {}],
      [[], { CONCLAVE_HTTP: '127.0.0.1:0' }],
    ] as const) {
      const waiting = new ActorProcess('configured', [...args, ...more], env);
      const started = waiting.start();
      await waiting.line(({ msg }) => msg === 'serves metrics and health');
      await waiting.stop();
      await expect(started).rejects.toThrow('ended with 0');
    }
    const off = new ActorProcess('off', [...args, '--config', file], { CONCLAVE_HTTP: 'off' });
    const started = off.start();
    await off.line(({ msg }) => msg === 'connecting to NATS');
    expect(off.lines.map(({ msg }) => msg)).not.toContain('serves metrics and health');
    await off.stop();
    await expect(started).rejects.toThrow('ended with 0');
  });

  it('ends with a clear error if its port is taken, before it joins anything', async () => {
    const taken = new URL(server.url).port;
    const args = ['--peer', 'h2', '--actors', 'node', '--nats', server.url, '--http', `127.0.0.1:${taken}`];
    const refused = new ActorProcess('refused', args, {});
    await expect(refused.start()).rejects.toThrow('ended with 6');
    expect(refused.log()).toContain('another program uses this port');
  });
});
