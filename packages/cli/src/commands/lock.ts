/** `conclave lock`: runs a command while it holds a lock. */
import type { Lock, LockWait } from '@conclave/client';
import { ConclaveError, limits } from '@conclave/protocol';
import { type Command, Option } from 'commander';
import { withClient } from '../connection.js';
import { exitCodes, Failed, Interrupted } from '../exit-codes.js';
import { closeOnInterruption } from '../interruption.js';
import { GuardedCommand } from '../lock/guarded-command.js';
import { type CommonOptions, wholeNumber, withCommonOptions } from '../options.js';
import { describeError, type Output } from '../output.js';
import { withoutSecrets } from '../processes/hide-secrets.js';
import { runAction } from '../run-action.js';
import { registerLockViews } from './lock-views.js';

interface LockOptions extends CommonOptions {
  readonly owner: string;
  readonly ttlMs: number;
  readonly waitMs: number;
}

export function registerLock(program: Command): void {
  // The options after `list`, `get` and `run` belong to these commands.
  const command = program.command('lock').enablePositionalOptions();
  registerLockViews(command);
  guarding(command, 'of the lock; one called `list`, `get` or `run` needs `lock run`');
  guarding(command.command('run'), 'of the lock: any');
}

/** Makes a command run another one while it holds a lock. */
function guarding(command: Command, nameText: string): void {
  withCommonOptions(
    command
      .argument('<name>', nameText)
      .argument('<command...>', 'what to run; after `--` if it has options of its own')
      .option('--owner <name>', 'the name of the holder, for people', `conclave-${process.pid}`)
      .addOption(
        new Option('--ttl-ms <ms>', 'how long the lock outlives this process if it dies')
          .argParser(wholeNumber(limits.leaseMinMs, limits.leaseMaxMs))
          .default(10_000),
      )
      .addOption(
        new Option('--wait-ms <ms>', 'how long to wait in the queue for it; 0: not at all')
          .argParser(wholeNumber(0, limits.leaseMaxMs))
          .default(limits.leaseMaxMs, 'a day'),
      )
      .description(
        'run a command while a lock is held, with its token in CONCLAVE_LOCK_TOKEN; its exit code (127: there is no such command, 126: it cannot be run), 3 if the lock is not acquired in time, 5 if it is lost. No process that the command starts in its process group outlives the lock',
      ),
  ).action((name: string, command: readonly string[], options: LockOptions) =>
    runAction(options, (output) => runGuarded(name, command, options, output)),
  );
}

function runGuarded(name: string, command: readonly string[], options: LockOptions, output: Output): Promise<void> {
  return withClient(options, async (client) => {
    const { owner, ttlMs, waitMs } = options;
    const onWait = (wait: LockWait) => output.note(`conclave: ${textOfWait(name, options.group, wait)}`);
    const lock = await unlessGivenUp((signal) => client.lock(name, { owner, ttlMs, waitMs, onWait, signal }));
    try {
      const code = await GuardedCommand.run(lock, command, ttlMs, output);
      if (lock.signal.aborted || code === undefined) {
        const overdue = new ConclaveError('ETIMEDOUT', 'the lease could not be renewed in time', 'unknown');
        output.fail(lock.signal.reason ?? overdue);
        throw new Failed(exitCodes.unknown);
      }
      process.exitCode = code;
    } finally {
      // A lost lock need not be released.
      if (!lock.signal.aborted) await releaseLock(lock, output);
    }
  });
}

/** Acquires a lock. On Ctrl-C the place in its queue is given up. */
async function unlessGivenUp(acquire: (signal: AbortSignal) => Promise<Lock>): Promise<Lock> {
  const controller = new AbortController();
  const acquiring = acquire(controller.signal);
  const end = closeOnInterruption(async () => {
    controller.abort(new Interrupted());
    await acquiring;
  });
  try {
    return await acquiring;
  } finally {
    end();
  }
}

/** What a user that waits for a lock sees. */
function textOfWait(name: string, group: string, wait: LockWait): string {
  const text = `waiting for the lock ${JSON.stringify(name)}`;
  if ('holder' in wait) return `${text}, which ${wait.holder} holds`;
  return `${text}: the leader of group ${JSON.stringify(group)} does not reply: ${withoutSecrets(wait.problem)}`;
}

/** Releases the lock. The exit code is that of the command, even if the group does not reply now. */
async function releaseLock(lock: Lock, output: Output): Promise<void> {
  try {
    await lock.release();
  } catch (error) {
    output.note(`conclave: the lock is free when its lease ends: ${describeError(error)}`);
  }
}
