/** The trace of a put through the actors of a real mesh: in the log lines of all, and as spans of an SDK. */
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { headers } from 'nats';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { makeFolder, removeFolder } from '../support/leftovers.js';
import { startNats } from '../support/nats.js';
import { type ActorProcess, actorKinds } from '../support/peers.js';
import { Mesh, Stops, until } from './fault-mesh.js';

const document = fileURLToPath(new URL('../../docs/tracing.md', import.meta.url));
const sdk = pathToFileURL(fileURLToPath(new URL('../support/spans-to-file.mjs', import.meta.url))).href;
const names = ['n1', 'n2', 'n3'];
const stops = new Stops();
let mesh: Mesh;
let spansFile: string;

beforeAll(async () => {
  const server = await startNats();
  stops.add(() => server.stop());
  const folder = makeFolder('spans');
  stops.add(async () => removeFolder(folder));
  spansFile = path.join(folder, 'spans.jsonl');
  writeFileSync(spansFile, '');
  const env = { NODE_OPTIONS: `--import=${sdk}`, SPANS_FILE: spansFile };
  const args = ['--log-level', 'debug'];
  mesh = await Mesh.found({ servers: [server], peers: names, placement: 'four', env, args }, stops);
  await mesh.healthy(...names);
});
afterAll(() => stops.run());

interface Span {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentId?: string;
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly events: readonly { readonly name: string; readonly index: number }[];
  readonly startMs: number;
  readonly ms: number;
}

/** What every put passes through: the request, the leader's three other actors, and node and log-store of both followers. */
const spansOfPut = 8;

const hex = (bytes: number) => randomBytes(bytes).toString('hex');

function spansOf(traceId: string): Span[] {
  const lines = readFileSync(spansFile, 'utf8').split('\n').slice(0, -1);
  return lines.map((line) => JSON.parse(line) as Span).filter((span) => span.traceId === traceId);
}

async function put(traceparent: string, body: object = { key: 'k', value: 'v' }) {
  const sent = headers();
  sent.set('traceparent', traceparent);
  const options = { headers: sent, timeout: 10_000 };
  return mesh.plain.nats.request('conclave.main.kv.put', JSON.stringify(body), options);
}

interface WholeTrace {
  readonly traceId: string;
  readonly parentId: string;
  /** The header of the reply. */
  readonly reply: string;
  readonly spans: readonly Span[];
}

/** Puts until one has all of its spans: the followers receive the leader's feed once they are caught up. */
function wholeTrace(): Promise<WholeTrace> {
  const sent: Omit<WholeTrace, 'spans'>[] = [];
  return until('a put with all of its spans', async () => {
    const [traceId, parentId] = [hex(16), hex(8)];
    const { headers: replied } = await put(`00-${traceId}-${parentId}-01`);
    sent.push({ traceId, parentId, reply: replied?.get('traceparent') ?? '' });
    const traces = sent.map((one) => ({ ...one, spans: spansOf(one.traceId) }));
    return traces.find(({ spans }) => spans.length === spansOfPut);
  });
}

const labelOf = ({ attributes }: Span) => `${attributes['conclave.peer']} ${attributes['conclave.actor']}`;

it('a put with a `traceparent` is one trace: through all actors, to the commit and the reply, and in their log lines', async () => {
  const { traceId, parentId, reply, spans } = await wholeTrace();
  const { peer_id: leader } = await mesh.leaderStatus();
  const followers = names.filter((name) => name !== leader);
  const root = spans.find(({ name }) => name === 'kv.put') as Span;
  expect(root.parentId).toBe(parentId);
  expect(root.events.map(({ name }) => name)).toEqual(['appended', 'committed']);
  expect(new Set(root.events.map(({ index }) => index)).size).toBe(1);
  expect(reply).toBe(`00-${traceId}-${root.spanId}-01`);
  const others = spans.filter((span) => span !== root);
  expect(others.map(({ parentId: parent }) => parent)).toEqual(others.map(() => root.spanId));
  expect(others.map((span) => `${labelOf(span)} ${span.name}`).toSorted()).toEqual(
    [
      `${leader} log-store feed.append`,
      `${leader} ballot-box ballot-box.register`,
      `${leader} replicator replicator.append`,
      ...followers.flatMap((peer) => [`${peer} node feed.append`, `${peer} log-store log-store.append`]),
    ].toSorted(),
  );
  const linesOf = (peer: string, actor: string) => {
    const found = mesh.peer(peer).processes[actorKinds.indexOf(actor as never)] as ActorProcess;
    return found.lines.filter(({ trace_id }) => trace_id === traceId).map(({ msg }) => msg);
  };
  const received = ['trace: message received'];
  await until('the lines of all actors', async () => {
    expect(linesOf(leader, 'node')).toEqual([
      'trace: request received',
      'trace: appended',
      'trace: committed',
      'trace: request answered',
    ]);
    for (const actor of ['log-store', 'ballot-box', 'replicator']) expect(linesOf(leader, actor)).toEqual(received);
    for (const peer of followers) {
      for (const actor of ['node', 'log-store']) expect(linesOf(peer, actor)).toEqual(received);
    }
    return true;
  });
});

it('docs/tracing.md shows such a trace (rewritten with CONCLAVE_REWRITE=1)', async () => {
  const isWritten = process.env.CONCLAVE_REWRITE === '1';
  // Code that was just loaded is slow.
  for (let at = 0; isWritten && at < 500; at++) await mesh.plain.ask('kv.put', { key: 'k', value: 'v' });
  const { spans } = await wholeTrace();
  const { peer_id: leader } = await mesh.leaderStatus();
  const text = treeOf(spans, leader);
  const written = readFileSync(document, 'utf8');
  const [before = '', rest = ''] = written.split('<!-- trace -->\n');
  const [shown = '', after = ''] = rest.split('<!-- end -->\n');
  if (isWritten) {
    writeFileSync(document, `${before}<!-- trace -->\n${text}<!-- end -->\n${after}`);
    return;
  }
  const withoutTimes = (tree: string) =>
    tree
      .replaceAll(/\d+\.\d ms/g, 'ms')
      .replaceAll(/ +/g, ' ')
      .replaceAll(/ed \d+/g, 'ed');
  expect(withoutTimes(shown)).toBe(withoutTimes(text));
});

it('a request without a trace, or with one that is malformed, leaves none; an error ends its trace', async () => {
  const before = readFileSync(spansFile, 'utf8').length;
  await mesh.plain.ask('kv.put', { key: 'k', value: 'v' });
  for (const wrong of [
    '',
    'x',
    `00-${'0'.repeat(32)}-${hex(8)}-01`,
    `01-${hex(16)}-${hex(8)}-01`,
    `00-${hex(16)}-${hex(8)}-01x`,
  ]) {
    expect((await put(wrong)).headers?.get('traceparent') ?? '').toBe('');
  }
  expect(readFileSync(spansFile, 'utf8').length).toBe(before);
  const traceId = hex(16);
  const refused = await put(`00-${traceId}-${hex(8)}-01`, { wrong: true });
  expect(refused.headers?.get('Nats-Service-Error-Code')).toBe('400');
  expect(refused.headers?.get('traceparent')).toMatch(new RegExp(`^00-${traceId}-`));
  const [only] = await until('its span', async () => (spansOf(traceId).length > 0 ? spansOf(traceId) : undefined));
  expect(only).toMatchObject({ name: 'kv.put', events: [] });
});

/** The spans as a tree, the peers named as if n1 led. */
function treeOf(spans: readonly Span[], leader: string): string {
  const order = [leader, ...names.filter((name) => name !== leader)];
  const root = spans.find(({ name }) => name === 'kv.put') as Span;
  const line = (indent: string, span: Span, where: string, rest: string) =>
    `    ${(indent + span.name).padEnd(24)}${where.padEnd(16)}${`+${(span.startMs - root.startMs).toFixed(1)} ms`.padStart(10)}${`${span.ms.toFixed(1)} ms`.padStart(10)}  ${rest}`.trimEnd();
  const peerOf = (span: Span) => order.indexOf(span.attributes['conclave.peer'] ?? '');
  const others = spans
    .filter((span) => span !== root)
    .toSorted((a, b) => peerOf(a) - peerOf(b) || labelOf(a).localeCompare(labelOf(b)));
  const events = root.events.map(({ name, index }) => `${name} ${index}`).join(', ');
  const rows = others.map((span) => line('  ', span, `n${peerOf(span) + 1} ${span.attributes['conclave.actor']}`, ''));
  return `${[line('', root, 'n1 node', events), ...rows].join('\n')}\n`;
}
