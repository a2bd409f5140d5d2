/** `conclave lock`: runs a command while it holds a lock. */
import { type ChildProcess, spawn } from 'node:child_process';
import { constants } from 'node:os';
import type { Lock } from '@conclave/client';
import { limits } from '@conclave/protocol';
import { type Command, Option } from 'commander';
import { Failed, runAction } from '../action.js';
import { withClient } from '../connection.js';
import { type CommonOptions, wholeNumber, withCommonOptions } from '../options.js';
import type { Output } from '../output.js';

/** What a command gets to end by itself when the lock is lost, before it is killed. */
const killAfterMs = 5_000;

interface LockOptions extends CommonOptions {
  readonly owner: string;
  readonly ttlMs: number;
  readonly waitMs: number;
}

export function registerLock(program: Command): void {
  withCommonOptions(
    program
      .command('lock')
      .argument('<name>')
      .argument('<command...>', 'what to run; behind `--` where it has options of its own')
      .option('--owner <name>', 'what the holder is called, for people', `conclave-${process.pid}`)
      .addOption(
        new Option('--ttl-ms <ms>', 'how long the lock outlives this process where it dies')
          .argParser(wholeNumber(limits.leaseLeastMs, limits.leaseMostMs))
          .default(10_000),
      )
      .addOption(
        new Option('--wait-ms <ms>', 'how long to wait in the queue for it; 0: not at all')
          .argParser(wholeNumber(0, limits.leaseMostMs))
          .default(limits.leaseMostMs, 'a day'),
      )
      .description(
        'run a command while a lock is held, with its token in CONCLAVE_LOCK_TOKEN; its exit code, or 1 without or after the lock',
      ),
  ).action((name: string, command: readonly string[], options: LockOptions) =>
    runAction(options, (output) =>
      withClient(options, async (client) => {
        const { owner, ttlMs, waitMs } = options;
        const lock = await client.lock(name, { owner, ttlMs, waitMs });
        try {
          process.exitCode = await runWith(lock, command, output);
        } finally {
          await lock.release();
        }
      }),
    ),
  );
}

/** Runs the command to its end, which is soon where the lock is lost. Answers its exit code, as a shell would. */
async function runWith(lock: Lock, [file = '', ...args]: readonly string[], output: Output): Promise<number> {
  const env = { ...process.env, CONCLAVE_LOCK_TOKEN: String(lock.token) };
  const child = spawn(file, args, { stdio: 'inherit', env });
  let killing: NodeJS.Timeout | undefined;
  const stop = () => {
    child.kill('SIGTERM');
    killing ??= setTimeout(() => child.kill('SIGKILL'), killAfterMs);
  };
  // Ctrl-C has reached the command, too: what it makes of that decides.
  const ignore = () => undefined;
  const pass = () => child.kill('SIGTERM');
  process.on('SIGINT', ignore).on('SIGTERM', pass);
  lock.signal.addEventListener('abort', stop);
  try {
    const code = await endOf(child);
    if (!lock.signal.aborted) return code;
    output.fail(lock.signal.reason);
    throw new Failed();
  } finally {
    clearTimeout(killing);
    lock.signal.removeEventListener('abort', stop);
    process.off('SIGINT', ignore).off('SIGTERM', pass);
  }
}

function endOf(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
  });
}
