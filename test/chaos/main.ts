/** `npm run chaos`: options, progress on stderr, the report on stdout, and an exit code. */
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command, InvalidArgumentError, Option } from 'commander';
import type { Placement } from '../support/peers.js';
import { runChaos } from './chaos-run.js';
import { describeReport } from './report.js';

interface Flags {
  readonly minutes: number;
  readonly seed: number;
  readonly placement: Placement;
  readonly clients: number;
  readonly keep: boolean;
  readonly json: boolean;
}

const keepIn = fileURLToPath(new URL('../../.cache/chaos', import.meta.url));
const comeBackMs = 60_000;

/** @returns the exit code: 0 if all held. */
export async function main(args: readonly string[]): Promise<number> {
  const program = new Command('chaos')
    .description('kills, pauses and cuts off real processes at random, under load, and checks the replies of clients')
    .option('--minutes <minutes>', 'how long faults happen', positive, 5)
    .addOption(
      new Option('--seed <seed>', 'what the faults and the load follow from')
        .argParser(whole)
        .default(drawSeed(), 'drawn'),
    )
    .addOption(new Option('--placement <processes>', 'processes of a peer').choices(['four', 'one']).default('four'))
    .option('--clients <count>', 'clients that call at the same time', whole, 16)
    .option('--keep', 'keep logs, data and history also of a run that passes', false)
    .option('--json', 'print the report as JSON', false);
  const { minutes, seed, placement, clients, keep, json } = program.parse([...args], { from: 'user' }).opts<Flags>();
  console.error(`seed ${seed}, ${minutes} min`);
  const report = await runChaos({
    seed,
    faultsMs: Math.round(minutes * 60_000),
    placement,
    clients,
    comeBackMs,
    keep,
    keepIn: path.normalize(keepIn),
    onProgress: (line) => console.error(line),
  });
  console.log(json ? JSON.stringify(report) : describeReport(report));
  return report.passed ? 0 : 1;
}

function drawSeed(): number {
  return Math.floor(Math.random() * 1_000_000);
}

function positive(text: string): number {
  const value = Number(text);
  if (!(value > 0 && value <= 10_000)) throw new InvalidArgumentError('It is a number above 0.');
  return value;
}

function whole(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) throw new InvalidArgumentError('It is a whole number above 0.');
  return value;
}
