/** The commands that the actors' processes run: `conclave run`, and `conclave health` beside it. */
import { setTimeout as delay } from 'node:timers/promises';
import { type LineLog, processLog } from '@conclave/actor';
import { actorKinds, type PeerId } from '@conclave/protocol';
import type { Command } from 'commander';
import type { DestinationStream } from 'pino';
import { exitCodeOf, exitCodes, UsageError } from '../exit-codes.js';
import { checkHealth, reportHealth } from '../health-check.js';
import { loginLayers } from '../login.js';
import { wholeNumber } from '../options.js';
import { ownVersion } from '../own-files.js';
import { describeFailure, PeerProcess, type PeerProcessDependencies } from './peer-process.js';
import { checkTimes, type HostedOptions, type RunOptions, withHostedOptions, withRunOptions } from './run-options.js';
import { storageRetryMs, untilStorageWorks } from './storage-probe.js';
import { collectLater, compileSooner } from './v8-tuning.js';

/** How long stopping in order may take. */
const stopMs = 5000;

export function registerRun(program: Command): void {
  withRunOptions(
    program.command('run').description("run a peer's actors, some or all of them, in this process"),
  ).action(async (options: RunOptions) => {
    compileSooner();
    if (!options.actors.includes('node')) collectLater();
    checkTimes(options);
    await run(options);
  });
}

interface HealthOptions extends Omit<HostedOptions, 'peer'> {
  readonly peer?: PeerId;
  readonly timeoutMs: number;
  readonly allGroups: boolean;
  readonly allPeers: boolean;
  readonly json: boolean;
}

export function registerHealth(program: Command): void {
  const command = program.command('health').description('ask actors how they are; exits with 0 if all are well');
  withHostedOptions(command, false)
    .option('--timeout-ms <ms>', 'how long they may take to answer', wholeNumber(1, 60_000), 2000)
    .option('--all-groups', 'also of the groups that were created while the processes ran', false)
    .option('--all-peers', 'of all members of each group, not of one peer', false)
    .option('--json', 'print one JSON object', false)
    .action(async (options: HealthOptions) => {
      const { peer = '', allPeers, allGroups } = options;
      if (peer === '' && !allPeers) throw new UsageError('name a peer with --peer, or ask all with --all-peers');
      if (peer === '' && allGroups) throw new UsageError('name with --peer whose groups are meant by --all-groups');
      // As in `readAsked`: what runs in this container is meant only where its own peer is.
      const isOwnProcess = !allPeers && ['env', 'config'].includes(command.getOptionValueSource('peer') ?? '');
      const isNarrowed = isOwnProcess || command.getOptionValueSource('actors') === 'cli';
      const actors = isNarrowed ? options.actors : actorKinds;
      reportHealth(await checkHealth({ ...options, peer, actors, login: loginLayers(options) }), options.json);
    });
}

/** For a person at a terminal; undefined where the log goes to a file or a collector, which want JSON. */
async function readableLines(): Promise<DestinationStream | undefined> {
  if (process.stderr.isTTY !== true) return undefined;
  const { default: pretty } = await import('pino-pretty');
  const colorize = process.env.NO_COLOR === undefined;
  return pretty({
    destination: 2,
    sync: true,
    colorize,
    translateTime: 'SYS:HH:MM:ss.l',
    ignore: 'pid',
    singleLine: true,
  });
}

/** Settled when the process has been told to stop and has done so. */
async function run(options: RunOptions): Promise<void> {
  const bindings = { peer: options.peer, actors: options.actors.join() };
  const log = processLog(options.logLevel, bindings, await readableLines());
  const told = untilSignal(log);
  process.on('uncaughtException', (error) => {
    log.write('fatal', `an unforeseen error ends the process: ${error.message}`, { stack: error.stack });
    process.exit(exitCodes.broken);
  });
  const dependencies: PeerProcessDependencies = {
    log,
    version: ownVersion(),
    fail: (error, actor) => {
      describeFailure(error, actor);
      process.exit(exitCodes.broken);
    },
  };
  const starting = untilStorageWorks(options, log, 'first').then(() => PeerProcess.start(options, dependencies));
  let peerProcess: PeerProcess | 'told';
  try {
    peerProcess = await Promise.race([starting, told.then(() => 'told' as const)]);
  } catch (error) {
    log.write('fatal', `the process cannot start: ${(error as Error).message}`);
    process.exit(exitCodeOf(error));
  }
  // Nobody was served yet, and LevelDB bears being left at any moment.
  if (peerProcess === 'told') process.exit(0);
  log.write('info', 'ready', { groups: options.groups });
  process.send?.({ type: 'ready' });
  peerProcess = await untilTold(peerProcess, options, dependencies, told);
  setTimeout(() => {
    log.write('error', `stopping took more than ${stopMs} ms`);
    process.exit(exitCodes.failed);
  }, stopMs).unref();
  await peerProcess.stop();
  log.write('info', 'stopped');
  process.exit(0);
}

/**
 * Waits until the process is told to stop. Where its storage fails meanwhile, starts its actors anew once that works again:
 * when there are free file descriptors, or when the disk can be written.
 * @returns the actors that run then
 */
async function untilTold(
  first: PeerProcess,
  options: RunOptions,
  dependencies: PeerProcessDependencies,
  told: Promise<void>,
): Promise<PeerProcess> {
  const { log } = dependencies;
  let running = first;
  for (;;) {
    const failure = await Promise.race([running.storageFailed, told]);
    if (failure === undefined) return running;
    log.write('error', 'the storage does not work: the actors start again when it does', { reason: failure.message });
    await Promise.race([running.stop(), delay(stopMs)]);
    const started = await Promise.race([startAgain(options, dependencies), told]);
    if (started === undefined) process.exit(0);
    running = started;
    log.write('info', 'the storage works again', { groups: options.groups });
  }
}

/** Settled once the actors run again. */
async function startAgain(options: RunOptions, dependencies: PeerProcessDependencies): Promise<PeerProcess> {
  for (;;) {
    try {
      await untilStorageWorks(options, dependencies.log, 'again');
      return await PeerProcess.start(options, dependencies);
    } catch (error) {
      dependencies.log.write('error', 'the actors cannot start yet', { reason: (error as Error).message });
      await delay(storageRetryMs);
    }
  }
}

/** Settled when a signal comes, or the parent goes away that is not to be outlived. */
function untilSignal(log: LineLog): Promise<void> {
  return new Promise((resolve) => {
    const stop = (why: string) => () => {
      log.write('info', 'stopping', { why });
      resolve();
    };
    process.once('SIGTERM', stop('SIGTERM'));
    process.once('SIGINT', stop('SIGINT'));
    if (process.env.CONCLAVE_EXIT_WITH_PARENT === '1') process.once('disconnect', stop('the parent is gone'));
  });
}
