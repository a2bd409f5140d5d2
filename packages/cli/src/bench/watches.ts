/**
 * Measures the cost of open watches for writers: writes per second with none, with 2,000 and with 5,000 watches.
 * There are three peers of four processes each. Each key is watched by at most one watch, so that a part of the writes is a
 * change for a watch. The rows without a watch are measured before and after the others.
 */
import { ConclaveClient } from '@conclave/client';
import { asGroupId, defaultPrefix, limits } from '@conclave/protocol';
import type { LoginFlags } from '../login.js';
import type { Output } from '../output.js';
import type { CleanUp } from '../processes/clean-up.js';
import { foundGroup, type Mesh, makeMesh, namedOrOwnNats, peerNames, refuseSecondMesh } from '../processes/mesh.js';
import { count } from '../views/format.js';
import { table } from '../views/tables.js';
import { type Measured, measure } from './measure.js';
import { measuredRecord } from './results.js';
import { scratchFolder } from './scratch-folder.js';

const groupId = asGroupId('bench');
const prefix = `${defaultPrefix}-watches`;
const valueBytes = 128;
/** All have the same number of digits, so that no key is the prefix of another one. */
const firstKey = 10_000;
const keys = 10_000;
const inFlight = 256;
const openTimeoutMs = 60_000;

export const defaultWatches = [2_000, 5_000] as const;

export interface WatchesBenchOptions extends LoginFlags {
  readonly tls?: boolean;
  /** The number of open watches, one row each. */
  readonly watches: readonly number[];
  readonly seconds: number;
  readonly warmUpSeconds: number;
  readonly dataDir: string;
}

interface WatchesRow {
  readonly watches: number;
  readonly measured: Measured;
  /** How many changes all watches together received. */
  readonly changesPerSecond: number;
}

/** Runs the rows and prints them. */
export async function benchWatches(cleanUp: CleanUp, output: Output, options: WatchesBenchOptions): Promise<void> {
  const folder = scratchFolder(cleanUp, options.dataDir, 'bench-watches-');
  const login = await namedOrOwnNats(cleanUp, options, folder);
  const mesh = await makeMesh(cleanUp, login, { groupId, prefix, placement: 'four', folder }, (text) =>
    output.note(text),
  );
  const peers = peerNames(3);
  await refuseSecondMesh(mesh.adminClient, peers);
  await mesh.processes.start(peers);
  await foundGroup(mesh, peers);
  const client = await ConclaveClient.connect({ connection: mesh.adminClient.connection, groupId, prefix });
  cleanUp.add(() => client.close());
  const value = new Uint8Array(valueBytes).fill(0x78);
  const put = (number: number): Promise<unknown> => client.kv.put(keyOf(number % keys), value);
  await measure(put, { inFlight, warmUpMs: 1000 * options.warmUpSeconds, measureMs: 0 });
  const rows: WatchesRow[] = [];
  for (const watches of [0, ...options.watches, 0]) {
    const open = await OpenWatches.open(mesh, watches);
    try {
      const before = open.changes;
      const warmUpMs = Math.min(1000 * options.warmUpSeconds, 5_000);
      const measured = await measure(put, { inFlight, warmUpMs, measureMs: 1000 * options.seconds });
      const seconds = measured.seconds + warmUpMs / 1000;
      const row = { watches, measured, changesPerSecond: (open.changes - before) / seconds };
      rows.push(row);
      if (!output.json) output.note(`${count(watches)} watches: ${count(measured.operationsPerSecond)} writes/s`);
      if (open.ended > 0) throw new Error(`${open.ended} watches ended by themselves`);
    } finally {
      await open.close();
    }
  }
  show(output, rows);
}

function keyOf(number: number): string {
  return `key-${firstKey + number}`;
}

/** Watches of one key each, of as few clients as the limit per client allows. */
class OpenWatches {
  /** Changes received so far. */
  changes = 0;
  /** Watches that ended although no client closed them. */
  ended = 0;
  private isClosing = false;
  private readonly clients: ConclaveClient[] = [];

  /** Opens this many watches; resolves when the leader has started all of them. */
  static async open(mesh: Mesh, watches: number): Promise<OpenWatches> {
    const open = new OpenWatches();
    const { connection } = mesh.adminClient;
    for (let first = 0; first < watches; first += limits.ownerWatches) {
      const client = await ConclaveClient.connect({ connection, groupId, prefix });
      open.clients.push(client);
      const ofClient = Array.from({ length: Math.min(limits.ownerWatches, watches - first) }, (_, at) => first + at);
      await Promise.all(ofClient.map((number) => open.begin(client, keyOf(number))));
    }
    return open;
  }

  /** A watch starts at the revision of a read, so it receives a first change once its key is written. */
  private async begin(client: ConclaveClient, key: string): Promise<void> {
    const { revision } = await client.kv.put(key, new Uint8Array(valueBytes), { timeoutMs: openTimeoutMs });
    const watch = client.watch(key, { fromRevision: revision });
    await watch.next();
    void this.count(watch);
  }

  private async count(watch: AsyncIterable<unknown>): Promise<void> {
    try {
      for await (const _ of watch) this.changes += 1;
    } catch {
      // The catch below counts it.
    }
    if (!this.isClosing) this.ended += 1;
  }

  async close(): Promise<void> {
    this.isClosing = true;
    await Promise.all(this.clients.map((client) => client.close()));
  }
}

function show(output: Output, rows: readonly WatchesRow[]): void {
  const without = rows.filter(({ watches }) => watches === 0).map(({ measured }) => measured.operationsPerSecond);
  const base = without.reduce((sum, each) => sum + each, 0) / without.length;
  const ratio = ({ measured }: WatchesRow): number => measured.operationsPerSecond / base;
  if (output.json) {
    for (const row of rows) {
      output.record({
        row: `watches-${row.watches}`,
        ...measuredRecord(row.measured),
        changes_per_second: Math.round(row.changesPerSecond),
        ratio: Number(ratio(row).toFixed(3)),
      });
    }
    return;
  }
  const head = ['open watches', 'writes/s', 'p50 ms', 'p99 ms', 'failed', 'changes/s', 'ratio'];
  const cells = rows.map((row) => [
    count(row.watches),
    count(row.measured.operationsPerSecond),
    row.measured.p50Ms.toFixed(2),
    row.measured.p99Ms.toFixed(2),
    row.measured.failed,
    count(row.changesPerSecond),
    `${ratio(row).toFixed(2)}x`,
  ]);
  output.line(`\nthree peers of four processes, ${inFlight} writes in flight; see docs/benchmarks.md\n`);
  output.line(table(head, cells, head));
}
