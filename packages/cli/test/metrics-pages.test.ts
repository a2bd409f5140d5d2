/** The pages of the HTTP servers, and how they are reached. */
import { createConnection } from 'node:net';
import { asGroupId, bucketsOf, type MetricSample, type PeerId, sampleOf } from '@conclave/protocol';
import { afterEach, expect, it } from 'vitest';
import { parseListenAddress } from '../src/listen-address.js';
import { render } from '../src/metrics/exposition.js';
import { type HttpListener, listen } from '../src/metrics/http-server.js';
import { ofActor, ofProcess } from '../src/metrics/labelled.js';
import { type Check, createPages } from '../src/metrics/pages.js';

const place = { groupId: asGroupId('main'), peerId: 'n1' as PeerId, actor: 'node' } as const;
const listeners: HttpListener[] = [];
afterEach(async () => {
  for (const listener of listeners.splice(0)) await listener.close();
});

async function serve(checks: readonly Check[] = []): Promise<string> {
  const pages = createPages({
    metrics: () => ofActor(place, [sampleOf('conclave_node_term', 7, {})]),
    livez: () => [{ name: 'process', problem: '' }],
    readyz: () => checks,
  });
  const listener = await listen(pages, { host: '127.0.0.1', port: 0 });
  listeners.push(listener);
  return listener.url;
}

it('samples are rendered with help, type and all labels, and a histogram with cumulative buckets', async () => {
  const samples = ofActor(place, [
    sampleOf('conclave_node_target_silence_seconds', Number.POSITIVE_INFINITY, { target: 'a"b\\c\n' }),
    bucketsOf('conclave_commit_seconds', { bounds: [0.1, 1], counts: [2, 0, 1], sum: 5.2 }, {}),
  ]);
  const text = await render(samples);
  expect(text).toContain('# TYPE conclave_commit_seconds histogram');
  const common = 'group="main",peer="n1",actor="node"';
  for (const line of [
    `conclave_commit_seconds_bucket{${common},le="0.1"} 2`,
    `conclave_commit_seconds_bucket{${common},le="1"} 2`,
    `conclave_commit_seconds_bucket{${common},le="+Inf"} 3`,
    `conclave_commit_seconds_sum{${common}} 5.2`,
    `conclave_commit_seconds_count{${common}} 3`,
    `conclave_node_target_silence_seconds{${common},target="a\\"b\\\\c\\n"} +Inf`,
  ]) {
    expect(text.split('\n')).toContain(line);
  }
});

it('samples that do not fit the table are left out: unknown ones, other labels, buckets of another number', () => {
  const odd: MetricSample[] = [
    { name: 'conclave_of_a_newer_version', labels: {}, value: 1 },
    { name: 'conclave_node_term', labels: { more: 'x' }, value: 1 },
    { name: 'conclave_node_term', labels: {} },
    { name: 'conclave_commit_seconds', labels: {}, value: 1 },
    { name: 'conclave_commit_seconds', labels: {}, buckets: { bounds: [1], counts: [1], sum: 1 } },
  ];
  expect(ofActor(place, odd)).toEqual([]);
  expect(ofProcess('n1' as PeerId, { id: 'x', process: 'node', samples: odd })).toEqual([]);
});

it('the pages answer: metrics, liveness, readiness with the failed checks, and nothing else', async () => {
  const url = await serve([
    { name: 'nats', problem: '' },
    { name: 'main/node', problem: 'knows no leader' },
  ]);
  const get = async (path: string, init: RequestInit = {}) => {
    const response = await fetch(`${url}${path}`, init);
    return { status: response.status, text: await response.text(), type: response.headers.get('content-type') };
  };
  expect(await get('/metrics')).toMatchObject({ status: 200, type: 'text/plain; version=0.0.4; charset=utf-8' });
  expect((await get('/metrics')).text).toContain('conclave_node_term{group="main",peer="n1",actor="node"} 7');
  expect(await get('/livez')).toMatchObject({ status: 200, text: 'ok\n' });
  expect(await get('/livez?verbose')).toMatchObject({ status: 200, text: '[+] process: ok\nlivez check passed\n' });
  expect(await get('/readyz')).toMatchObject({
    status: 503,
    text: '[+] nats: ok\n[-] main/node: knows no leader\nreadyz check failed\n',
  });
  expect(await get('/metrics', { method: 'HEAD' })).toMatchObject({ status: 200, text: '' });
  expect((await get('/metrics', { method: 'POST', body: 'x' })).status).toBe(405);
  expect((await get('/../../etc/passwd')).status).toBe(404);
  expect((await get('/%00%ff')).status).toBe(404);
});

it('a page of metrics does not fail for what Prometheus sends with its requests', async () => {
  const url = await serve();
  const accept = 'application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1';
  const headers = { accept, 'accept-encoding': 'gzip', 'x-prometheus-scrape-timeout-seconds': '10' };
  const response = await fetch(`${url}/metrics?x=%&y[]=1`, { headers });
  expect(response.status).toBe(200);
});

it('garbage on the connection is refused, and the next request is answered', async () => {
  const url = await serve();
  const { hostname, port } = new URL(url);
  for (const garbage of [
    '\0\xff\r\n\r\n',
    'GET\r\n\r\n',
    `GET /metrics HTTP/1.1\r\nx: ${'y'.repeat(100_000)}\r\n\r\n`,
  ]) {
    const socket = createConnection(Number(port), hostname);
    socket.on('error', () => undefined);
    socket.write(garbage, 'latin1');
    const answer = await new Promise<string>((resolve) => {
      let text = '';
      socket.on('data', (data: Buffer) => {
        text += data.toString();
      });
      socket.on('close', () => resolve(text));
    });
    expect(answer).toMatch(/^(HTTP\/1.1 4\d\d |$)/);
  }
  expect((await fetch(`${url}/livez`)).status).toBe(200);
});

it('an address is a host and a port, and a port that is in use is reported as an error', async () => {
  expect(parseListenAddress('127.0.0.1:9464')).toEqual({ host: '127.0.0.1', port: 9464 });
  expect(parseListenAddress('[::1]:0')).toEqual({ host: '::1', port: 0 });
  for (const text of ['', '9464', ':9464', '127.0.0.1', '127.0.0.1:70000', 'a b:1', '::1:9464', 'http://x:1']) {
    expect(() => parseListenAddress(text), text).toThrow('an address and a port are wanted');
  }
  const { port } = new URL(await serve());
  const app = createPages({ metrics: () => [], livez: () => [], readyz: () => [] });
  await expect(listen(app, { host: '127.0.0.1', port: Number(port) })).rejects.toThrow(
    'another program uses this port',
  );
});
