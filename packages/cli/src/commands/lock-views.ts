/** `conclave lock list` and `conclave lock get`: print which owner holds which lock. */
import type { Command } from 'commander';
import { withClient } from '../connection.js';
import { type CommonOptions, withCommonOptions } from '../options.js';
import type { Output } from '../output.js';
import { runAction } from '../run-action.js';
import { table } from '../views/tables.js';
import { negative } from './lease.js';

export function registerLockViews(lock: Command): void {
  withCommonOptions(
    lock.command('list').description('list the locks that are held, with holders and numbers of waiters'),
  ).action((options: CommonOptions) => runAction(options, (output) => list(output, options)));
  withCommonOptions(
    lock.command('get').argument('<name>').description('print the holder of a lock; exit code 1 if there is none'),
  ).action((name: string, options: CommonOptions) => runAction(options, (output) => get(output, name, options)));
}

function list(output: Output, options: CommonOptions): Promise<void> {
  return withClient(options, async (client) => {
    const rows: string[][] = [];
    let startAfter: string | undefined;
    for (;;) {
      const { locks, more } = await client.locks.list(startAfter === undefined ? {} : { startAfter });
      for (const [name, owner, lease_id, token, waiting] of locks) {
        if (output.json) output.record({ name, owner, lease_id, token, waiting });
        else rows.push([name, owner, String(lease_id), String(token), String(waiting)]);
      }
      startAfter = locks.at(-1)?.[0];
      if (!more) break;
    }
    if (!output.json) output.line(table(['lock', 'owner', 'lease', 'token', 'waiting'], rows, ['token', 'waiting']));
  });
}

function get(output: Output, name: string, options: CommonOptions): Promise<void> {
  return withClient(options, async (client) => {
    const reply = await client.locks.get(name);
    const { holder, waiting } = reply;
    if (output.json) output.record(reply);
    else if (holder !== null) {
      output.line(`${holder.owner} holds it by lease ${holder.lease_id}, token ${holder.token}; ${waiting} wait`);
    }
    if (holder === null) throw negative(output, 'no client holds this lock');
  });
}
