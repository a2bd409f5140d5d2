/** The command `conclave run`: one process of a peer, from its start until it stops. */
import { setTimeout as delay } from 'node:timers/promises';
import { type LineLog, processLog } from '@conclave/actor';
import { ConclaveError } from '@conclave/protocol';
import type { Command } from 'commander';
import type { DestinationStream } from 'pino';
import { exitCodeOf, exitCodes } from '../exit-codes.js';
import type { HttpListener } from '../metrics/http-server.js';
import { messageOf } from '../output.js';
import { ownVersion } from '../own-files.js';
import { describeFailure, PeerProcess, type PeerProcessDependencies } from '../run/peer-process.js';
import { ProcessHealth } from '../run/process-health.js';
import { checkTimes, type RunOptions, withRunOptions } from '../run/run-options.js';
import { whenStorageWorks } from '../run/storage-probe.js';
import { collectLater, compileSooner, letYoungGenerationGrow } from '../run/v8-tuning.js';

/** How long the actors may take to stop. */
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

/** Formats log lines for a terminal; undefined: standard error is a file or a pipe, to which JSON is written. */
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

/** Runs the actors until the process is requested to stop, stops them, and exits. Never resolves. */
async function run(options: RunOptions): Promise<void> {
  const bindings = { peer: options.peer, actors: options.actors.join() };
  const log = processLog(options.logLevel, bindings, await readableLines());
  const stopRequested = untilSignal(log);
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
  const health = new ProcessHealth(options.peer);
  const http = await serveHttp(options, health, log);
  const starting = whenStorageWorks(options, log, 'first', () => PeerProcess.start(options, dependencies));
  let peerProcess: PeerProcess | 'stop_requested';
  try {
    peerProcess = await Promise.race([starting, stopRequested.then(() => 'stop_requested' as const)]);
  } catch (error) {
    endAtStart(error, log);
  }
  // No request was served yet, and LevelDB survives an exit at any moment.
  if (peerProcess === 'stop_requested') process.exit(0);
  letYoungGenerationGrow();
  log.write('info', 'ready', { groups: options.groups });
  process.send?.({ type: 'ready' });
  health.onStarted(peerProcess);
  peerProcess = await untilStopRequested(peerProcess, options, dependencies, stopRequested, health);
  health.onStopped('the process is stopping');
  setTimeout(() => {
    log.write('error', `stopping took more than ${stopMs} ms`);
    process.exit(exitCodes.failed);
  }, stopMs).unref();
  await peerProcess.stop();
  await http?.close();
  log.write('info', 'stopped');
  process.exit(0);
}

function endAtStart(error: unknown, log: LineLog): never {
  const code = error instanceof ConclaveError ? { code: error.code } : {};
  log.write('fatal', `the process cannot start: ${messageOf(error)}`, code);
  // A damaged store is a failure of this machine; nothing was requested, so no outcome is unknown.
  process.exit(error instanceof ConclaveError && error.code === 'ECORRUPT' ? exitCodes.failed : exitCodeOf(error));
}

/** Serves metrics and health over HTTP, if an option asks for it; ends the process if that is impossible. */
async function serveHttp({ http }: RunOptions, health: ProcessHealth, log: LineLog): Promise<HttpListener | undefined> {
  if (http === undefined || http === 'off') return undefined;
  // Loaded only here: most commands do not need it.
  const { listen } = await import('../metrics/http-server.js');
  const { createPages } = await import('../metrics/pages.js');
  try {
    const listener = await listen(createPages(health), http);
    log.write('info', 'serves metrics and health', { url: listener.url });
    return listener;
  } catch (error) {
    log.write('fatal', `the process cannot start: --http: ${(error as Error).message}`);
    process.exit(exitCodes.failed);
  }
}

/**
 * Waits until the process is requested to stop. If its storage fails meanwhile, stops the actors, and starts them again when the
 * data folder can be used.
 * @returns the actors that run when the stop is requested
 */
async function untilStopRequested(
  first: PeerProcess,
  options: RunOptions,
  dependencies: PeerProcessDependencies,
  stopRequested: Promise<void>,
  health: ProcessHealth,
): Promise<PeerProcess> {
  const { log } = dependencies;
  let running = first;
  for (;;) {
    const failure = await Promise.race([running.storageFailed, stopRequested]);
    if (failure === undefined) return running;
    log.write('error', 'the storage failed: the actors restart once it works again', { reason: failure.message });
    health.onStopped(`the storage failed: ${failure.message}`);
    await Promise.race([running.stop(), delay(stopMs)]);
    const started = await Promise.race([restart(options, dependencies), stopRequested]);
    if (started === undefined) process.exit(0);
    running = started;
    health.onStarted(started);
    log.write('info', 'the storage works again', { groups: options.groups });
  }
}

/** Waits until the data folder can be used, starts the actors, and resolves with them. Ends the process if the store is damaged. */
async function restart(options: RunOptions, dependencies: PeerProcessDependencies): Promise<PeerProcess> {
  try {
    return await whenStorageWorks(options, dependencies.log, 'again', () => PeerProcess.start(options, dependencies));
  } catch (error) {
    return endAtStart(error, dependencies.log);
  }
}

/**
 * Resolves on SIGTERM or SIGINT, or, with `CONCLAVE_EXIT_WITH_PARENT=1`, when the parent process has closed its IPC channel.
 */
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
