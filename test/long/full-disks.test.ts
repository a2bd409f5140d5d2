/**
 * The disks of all peers fill up and are freed again and again under load, also of a majority at once, while log-stores are killed:
 * no acknowledged write is lost, no store is damaged, and the group goes on by itself.
 */
import { execFileSync } from 'node:child_process';
import { closeSync, fstatSync, ftruncateSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Random } from '@conclave/simulator';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Mesh, Stops } from '../mesh/fault-mesh.js';
import { Writers } from '../mesh/fault-writers.js';
import { makeFolder, removeFolder } from '../support/leftovers.js';
import { type NatsServer, startNats } from '../support/nats.js';
import { PlainClient } from '../support/plain-client.js';

const names = ['n1', 'n2', 'n3'];
const stops = new Stops();
const isRoot = process.getuid?.() === 0;
const rounds = Number(process.env.CONCLAVE_ROUNDS ?? 15);
const seed = Number(process.env.CONCLAVE_SEED ?? 1);
let folder: string;
let server: NatsServer;

beforeAll(async () => {
  folder = makeFolder('full-disks');
  stops.add(async () => removeFolder(folder));
  server = await startNats();
  stops.add(() => server.stop());
});

afterAll(() => stops.run());

/** A file that takes all the space of a small file system, and gives some of it back. */
class Filler {
  private readonly file: number;
  private readonly block = Buffer.alloc(64 * 1024);

  constructor(private readonly name: string) {
    this.file = openSync(name, 'w');
  }

  /** Takes the space that is left, up to the last byte. */
  fill(): void {
    let { size } = fstatSync(this.file);
    for (;;) {
      try {
        size += writeSync(this.file, this.block, 0, this.block.length, size);
      } catch (error) {
        expect((error as NodeJS.ErrnoException).code).toBe('ENOSPC');
        return;
      }
    }
  }

  giveBack(bytes: number): void {
    ftruncateSync(this.file, Math.max(0, fstatSync(this.file).size - bytes));
  }

  empty(): void {
    ftruncateSync(this.file, 0);
  }

  close(): void {
    closeSync(this.file);
    rmSync(this.name);
  }
}

it.runIf(isRoot)('no acknowledged write is lost while disks fill up and are freed', { timeout: 600_000 }, async () => {
  for (const name of names) {
    const target = path.join(folder, name);
    mkdirSync(target);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=160m', 'tmpfs', target]);
    stops.add(async () => void execFileSync('umount', ['-l', target]));
  }
  const dataDir = (peer: string) => path.join(folder, peer, 'data');
  const env = {
    // Nothing keeps entries from a disk that is nearly full: each write meets the full disk itself.
    CONCLAVE_DISK_RESERVE_MB: '0',
    CONCLAVE_SNAPSHOT_LOG_MB: '1',
    CONCLAVE_SNAPSHOT_INTERVAL_MS: '500',
    CONCLAVE_SNAPSHOT_MARGIN_ENTRIES: '100',
  };
  // Several groups: when a write of one has failed, others follow.
  const groups = ['main', 'second', 'third'];
  const mesh = await Mesh.found({ servers: [server], peers: names, placement: 'four', groups, dataDir, env }, stops);
  for (const group of groups.slice(1)) {
    const plain = await PlainClient.open([server.url], group);
    await plain.insist('n1.admin.bootstrap', { peers: names });
    await plain.close();
  }
  await mesh.healthy(...names);
  const writers = await Promise.all(groups.map((group) => Writers.start([server.url], 4, group, 5)));
  stops.add(() => Promise.all(writers.map((each) => each.stop())));
  const progress = (count: number) => Promise.all(writers.map((each) => each.progress(count)));
  await progress(50);
  const fillers = new Map(names.map((name) => [name, new Filler(path.join(folder, name, 'filler'))]));

  const random = new Random(seed);
  for (let round = 0; round < rounds; round++) {
    const full = names.filter(() => random.next() < 0.5);
    for (let pulse = 0; pulse < 20; pulse++) {
      for (const name of full) fillers.get(name)?.fill();
      await delay(1 + random.next() * 30);
      for (const name of full) fillers.get(name)?.giveBack(4096 * Math.floor(random.next() * 40));
      await delay(1 + random.next() * 10);
    }
    const killed = random.next() < 0.4 ? names[Math.floor(random.next() * names.length)] : undefined;
    if (killed !== undefined) await mesh.peer(killed).process('log-store').kill();
    for (const name of full) fillers.get(name)?.empty();
    if (killed !== undefined) await mesh.start(killed);
    if (random.next() < 0.5) await progress(20);
  }
  await progress(200);
  await mesh.healthy(...names);
  await Promise.all(writers.map((each) => each.stop()));
  console.log(`CONCLAVE_SEED=${seed}: ${writers.map((each) => each.acknowledged.size)} writes acknowledged`);
  for (const name of names) expect(mesh.peer(name).log()).not.toContain('ECORRUPT');
  const [inMain] = writers;
  for (const name of names) expect(await mesh.missing(name, inMain?.acknowledged ?? new Map())).toEqual([]);
});
