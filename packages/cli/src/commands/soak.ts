/**
 * `conclave soak`: writes at full speed for a long time, and checks whether disk and memory usage stay bounded meanwhile.
 * There are three peers, a process for each actor, one NATS server, 128-byte values over 10,000 keys, and 1,024 writes in flight.
 * The command fails if a write fails, if no log was compacted, or if the peaks of the last third of the run are too high,
 * compared with those of the third before it (`soak/verdict.ts`).
 */
import path from 'node:path';
import { setInterval, setTimeout as sleep } from 'node:timers/promises';
import { ConclaveClient } from '@conclave/client';
import { asGroupId, defaultPrefix, defaultSnapshots, type PeerId } from '@conclave/protocol';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { scratchFolder } from '../bench/scratch-folder.js';
import { Failed } from '../exit-codes.js';
import type { LoginFlags } from '../login.js';
import { namedServersText, wholeNumber, withLoginOptions } from '../options.js';
import type { Output } from '../output.js';
import { type CleanUp, withCleanUp } from '../processes/clean-up.js';
import { foundGroup, type Mesh, makeMesh, namedOrOwnNats, peerNames, refuseSecondMesh } from '../processes/mesh.js';
import { residentBytes } from '../processes/usage.js';
import { runAction } from '../run-action.js';
import { bytesInFolder, type Sample } from '../soak/sampling.js';
import { type Peaks, peaksOf } from '../soak/verdict.js';
import { count } from '../views/format.js';
import { table } from '../views/tables.js';

const groupId = asGroupId('soak');
const prefix = `${defaultPrefix}-soak`;
const peers: readonly PeerId[] = peerNames(3);
const value = new Uint8Array(128).fill(0x78);
const keys = 10_000;
const inFlight = 1024;
const samplesAtLeast = 9;
/** All failures are counted; this many are printed. */
const maxPrintedErrors = 10;
const MiB = 1024 * 1024;

interface SoakOptions extends LoginFlags {
  readonly json: boolean;
  readonly minutes: number;
  readonly sampleSeconds: number;
  readonly snapshotLogMb?: number;
  readonly dataDir: string;
}

export function registerSoak(program: Command): void {
  const command = program
    .command('soak')
    .addOption(new Option('--minutes <n>', 'how long to write').argParser(positive).default(60))
    .addOption(
      new Option('--sample-seconds <n>', 'interval between samples').argParser(wholeNumber(1, 600)).default(10),
    )
    .addOption(
      new Option('--snapshot-log-mb <n>', 'as for `conclave run`, with the same default').argParser(
        wholeNumber(1, 1_000_000),
      ),
    )
    .option(
      '--data-dir <folder>',
      'a folder on the disk to test; what is written there is removed afterwards',
      '.conclave',
    )
    .option('--json', 'print one line of JSON for each sample', false)
    .description('write at full speed for a long time, and check that disk and memory stay bounded');
  withLoginOptions(command, namedServersText).action((options: SoakOptions) =>
    runAction(options, (output) => withCleanUp((cleanUp) => soak(cleanUp, output, options))),
  );
}

function positive(text: string): number {
  const value = Number(text);
  if (!(value > 0 && value <= 10_080)) throw new InvalidArgumentError('a number above 0, of 10080 at most, is wanted.');
  return value;
}

async function soak(cleanUp: CleanUp, output: Output, options: SoakOptions): Promise<void> {
  const folder = scratchFolder(cleanUp, options.dataDir, 'soak-');
  const login = await namedOrOwnNats(cleanUp, options, folder);
  const { snapshotLogMb } = options;
  const environment: Record<string, string> =
    snapshotLogMb === undefined ? {} : { CONCLAVE_SNAPSHOT_LOG_MB: String(snapshotLogMb) };
  const mesh = await makeMesh(cleanUp, login, { groupId, prefix, placement: 'four', folder, environment }, (text) =>
    output.note(text),
  );
  await refuseSecondMesh(mesh.adminClient, peers);
  await mesh.processes.start(peers);
  await foundGroup(mesh, peers);
  const client = await ConclaveClient.connect({ connection: mesh.adminClient.connection, groupId, prefix });
  cleanUp.add(() => client.close());
  const { samples, failed } = await load(client, mesh, folder, output, options);
  const snapshotLogBytes = snapshotLogMb === undefined ? defaultSnapshots.snapshotLogBytes : snapshotLogMb * MiB;
  await report(client, output, { samples, failed, snapshotLogBytes });
}

interface Soaked {
  readonly samples: readonly Sample[];
  readonly failed: number;
  readonly snapshotLogBytes: number;
}

/** Writes until the time is over, and samples the usage. */
async function load(
  client: ConclaveClient,
  mesh: Mesh,
  folder: string,
  output: Output,
  { minutes, sampleSeconds }: SoakOptions,
): Promise<{ samples: Sample[]; failed: number }> {
  const samples: Sample[] = [];
  let [begun, writes, failed, ended] = [0, 0, 0, false];
  const loop = async (): Promise<void> => {
    while (!ended) {
      begun += 1;
      try {
        await client.kv.put(`key-${begun % keys}`, value);
        writes += 1;
      } catch (error) {
        failed += 1;
        if (failed <= maxPrintedErrors) output.note(`a write failed: ${error}`);
        // A rejection may come at once: without a pause no other code would run.
        await sleep(1);
      }
    }
  };
  const loops = Array.from({ length: inFlight }, loop);
  const from = performance.now();
  for await (const _ of setInterval(1000 * Math.min(sampleSeconds, (60 * minutes) / samplesAtLeast))) {
    const seconds = (performance.now() - from) / 1000;
    const sample = { seconds, writes, ...taken(mesh, folder) };
    show(output, sample, samples.at(-1));
    samples.push(sample);
    if (seconds >= 60 * minutes) break;
  }
  ended = true;
  await Promise.all(loops);
  return { samples, failed };
}

function taken(mesh: Mesh, folder: string): Pick<Sample, 'diskBytes' | 'memoryBytes'> {
  const diskBytes = new Map(peers.map((peer) => [peer, bytesInFolder(path.join(folder, 'peers', peer))] as const));
  const memoryBytes = new Map<string, number>();
  for (const { name, pid } of mesh.processes.running()) {
    const bytes = residentBytes(pid);
    if (bytes !== undefined) memoryBytes.set(name, bytes);
  }
  return { diskBytes, memoryBytes };
}

function show(output: Output, sample: Sample, before: Sample | undefined): void {
  const [sinceSeconds, sinceWrites] = [before?.seconds ?? 0, before?.writes ?? 0];
  const writesPerSecond = (sample.writes - sinceWrites) / (sample.seconds - sinceSeconds);
  const disk = Math.max(...sample.diskBytes.values());
  const memory = [...sample.memoryBytes.values()].reduce((sum, bytes) => sum + bytes, 0);
  if (!output.json) {
    const text = [`${Math.round(sample.seconds)} s`, `${count(writesPerSecond)} writes/s`];
    return output.line([...text, `disk ${inMb(disk)} MB a peer`, `memory ${inMb(memory)} MB in all`].join('  '));
  }
  output.record({
    seconds: Math.round(sample.seconds),
    writes: sample.writes,
    writes_per_second: Math.round(writesPerSecond),
    disk_bytes: Object.fromEntries(sample.diskBytes),
    memory_bytes: Object.fromEntries(sample.memoryBytes),
  });
}

async function report(
  client: ConclaveClient,
  output: Output,
  { samples, failed, snapshotLogBytes }: Soaked,
): Promise<void> {
  const peaks = peaksOf(samples, snapshotLogBytes);
  const { first_index, last_index } = await client.admin.status();
  const written = samples.at(-1)?.writes ?? 0;
  if (output.json) {
    output.record({ writes: written, failed, first_index, last_index, peaks: peaks.map(peaksRecord) });
  } else {
    const cells = peaks.map(({ name, before, last, bounded }) => [
      name,
      inMb(before),
      inMb(last),
      bounded ? 'bounded' : 'grows',
    ]);
    output.line(
      `\n${count(written)} writes, ${count(failed)} failed; the leader’s log: ${first_index} to ${last_index}\n`,
    );
    output.line(table(['peaks', 'middle third MB', 'last third MB', ''], cells, ['middle third MB', 'last third MB']));
  }
  const faults = [
    ...(failed > 0 ? [`${count(failed)} writes failed`] : []),
    ...(first_index > 1 ? [] : ['no entry has gone from the log: the run was too short for a snapshot']),
    ...peaks.filter(({ bounded }) => !bounded).map(({ name }) => `${name} grows`),
  ];
  if (faults.length === 0) return;
  for (const fault of faults) output.note(`conclave: ${fault}`);
  throw new Failed();
}

function peaksRecord({ name, before, last, bounded }: Peaks): Record<string, unknown> {
  return { name, middle_third_bytes: before, last_third_bytes: last, bounded };
}

function inMb(bytes: number): string {
  return (bytes / MiB).toFixed(0);
}
