/** `conclave lease ...`: manages leases, for a script or an operator. */
import type { ConclaveClient } from '@conclave/client';
import { ConclaveError, LeaseId, limits, type PublicLeaseId } from '@conclave/protocol';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { withClient } from '../connection.js';
import { exitCodes, Failed } from '../exit-codes.js';
import { type CommonOptions, wholeNumber, withCommonOptions } from '../options.js';
import type { Output } from '../output.js';
import { runAction } from '../run-action.js';
import { table } from '../views/tables.js';

const idHelp = 'its whole id, as `lease grant` prints it';

export function registerLease(program: Command): void {
  const lease = program.command('lease').description('leases, which keys and locks can be tied to');
  withCommonOptions(
    lease
      .command('grant')
      .argument('<ttl-ms>', 'how long it lives unless it is kept', wholeNumber(limits.leaseMinMs, limits.leaseMaxMs))
      .description('grant a lease and print its id, which is a secret of its holder'),
  ).action((ttlMs: number, options: CommonOptions) =>
    run(options, async (client, output) => {
      const reply = await client.leases.grant(ttlMs);
      if (output.json) output.record(reply);
      else output.line(String(reply.lease_id));
    }),
  );
  withCommonOptions(
    lease
      .command('keep')
      .argument('<lease>', idHelp, parseLeaseId)
      .description('restore the whole time of a lease, once; exit code 1 if it has ended'),
  ).action((leaseId: LeaseId, options: CommonOptions) =>
    run(options, async (client, output) => {
      const reply = await client.leases.keep(leaseId).catch(onEnded(output));
      if (output.json) output.record(reply);
      else output.line(`kept for ${reply.ttl_ms} ms`);
    }),
  );
  withCommonOptions(
    lease
      .command('revoke')
      .argument('<lease>', `${idHelp}; with --force its number`, parseLeaseId)
      .addOption(new Option('--force', 'also a lease of another client; publishes an event').default(false))
      .description('end a lease, delete its keys and release its locks; exit code 1 if there is none'),
  ).action((leaseId: LeaseId, options: CommonOptions & { readonly force: boolean }) =>
    run(options, async (client, output) => {
      const reply = await client.leases.revoke(leaseId, { force: options.force });
      if (output.json) output.record(reply);
      else if (reply.revoked) output.line(`revoked, revision ${reply.revision}`);
      if (!reply.revoked) throw negative(output, 'there is no such lease');
    }),
  );
  withCommonOptions(
    lease
      .command('get')
      .argument('<lease>', 'its id, or its number', parseLeaseId)
      .description('print the time of a lease, its remaining time, and its keys; exit code 1 if there is none'),
  ).action((leaseId: LeaseId, options: CommonOptions) =>
    run(options, (client, output) => get(client, output, leaseId)),
  );
  withCommonOptions(
    lease.command('list').description('list all leases: number, time, and how many keys each has'),
  ).action((options: CommonOptions) => run(options, list));
}

async function get(client: ConclaveClient, output: Output, leaseId: LeaseId): Promise<void> {
  let startAfter: string | undefined;
  for (let isFirst = true; ; isFirst = false) {
    const reply = await client.leases.get(leaseId, startAfter === undefined ? {} : { startAfter });
    if (output.json) output.record(reply);
    if (reply.ttl_ms === 0) throw negative(output, 'there is no such lease');
    if (!output.json) {
      const { lease_id, ttl_ms, remaining_ms, keys } = reply;
      const left = typeof remaining_ms === 'number' ? `, ${remaining_ms} ms left` : '';
      if (isFirst) output.line(`${lease_id}  ${ttl_ms} ms${left}`);
      for (const key of keys) output.line(`  ${key}`);
    }
    startAfter = reply.keys.at(-1);
    if (!reply.more) return;
  }
}

async function list(client: ConclaveClient, output: Output): Promise<void> {
  const rows: string[][] = [];
  let startAfter: PublicLeaseId | undefined;
  for (;;) {
    const { leases, more } = await client.leases.list(startAfter === undefined ? {} : { startAfter });
    for (const [lease_id, ttl_ms, keys] of leases) {
      if (output.json) output.record({ lease_id, ttl_ms, keys });
      else rows.push([String(lease_id), String(ttl_ms), String(keys)]);
    }
    startAfter = leases.at(-1)?.[0];
    if (!more) break;
  }
  if (!output.json) output.line(table(['lease', 'ms', 'keys'], rows, ['ms', 'keys']));
}

/** Prints that something does not exist, unless a record has done so, and returns the error that ends the command. */
export function negative(output: Output, text: string): Failed {
  if (!output.json) output.fail(new ConclaveError('ENOENT', text));
  return new Failed(exitCodes.negative);
}

function onEnded(output: Output): (error: unknown) => never {
  return (error) => {
    if (!(error instanceof ConclaveError) || error.code !== 'ENOENT') throw error;
    output.fail(error);
    throw new Failed(exitCodes.negative);
  };
}

export function parseLeaseId(text: string): LeaseId {
  const parsed = LeaseId.safeParse(numberOr(text));
  if (parsed.success) return parsed.data;
  throw new InvalidArgumentError('a lease’s id is wanted, as `lease grant` prints it, or its number.');
}

/** An id without its secret is a number. */
function numberOr(text: string): string | number {
  return /^\d+$/.test(text) ? Number(text) : text;
}

function run(options: CommonOptions, work: (client: ConclaveClient, output: Output) => Promise<void>): Promise<void> {
  return runAction(options, (output) => withClient(options, (client) => work(client, output)));
}
