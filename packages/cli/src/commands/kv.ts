/** `conclave kv ...`: operations of the key-value store, for a person or a script. */
import type { ConclaveClient } from '@conclave/client';
import { ConclaveError, Consistency, type LeaseId, limits, type PeerId, type Value } from '@conclave/protocol';
import { type Command, Option } from 'commander';
import type { AdminClient } from '../admin-client.js';
import { withClient } from '../connection.js';
import { Failed } from '../exit-codes.js';
import { type CommonOptions, parsePeer, wholeNumber, withCommonOptions } from '../options.js';
import type { Output } from '../output.js';
import { isUnreachable } from '../retry-until.js';
import { runAction } from '../run-action.js';
import { readStandardInput } from '../standard-input.js';
import { registerKvWatch } from './kv-watch.js';
import { parseLeaseId } from './lease.js';

const findTimeoutMs = 2_000;
const valueHelp = '`-`: read it from standard input; text where it is UTF-8, else bytes';

/** The peer that is asked, and the consistency. */
interface ReadOptions {
  readonly consistency?: Consistency;
  readonly stale: boolean;
  readonly peer?: PeerId;
}

type GetOptions = CommonOptions & ReadOptions;

type RangeOptions = GetOptions & { readonly keys: boolean; readonly limit?: number };

export function registerKv(program: Command): void {
  const kv = program.command('kv').description('the key-value store');
  withCommonOptions(
    kv
      .command('put')
      .argument('<key>')
      .argument('<value>', valueHelp)
      .addOption(new Option('--lease <id>', 'delete the key when this lease ends').argParser(parseLeaseId))
      .description('set a key; without --lease it is tied to no lease, even if it was before'),
  ).action((key: string, value: string, options: CommonOptions & { readonly lease?: LeaseId }) =>
    run(options, async (client, output) => {
      const { lease: leaseId } = options;
      const reply = await client.kv.put(key, await readValue(value), leaseId === undefined ? {} : { leaseId });
      if (output.json) output.record(reply);
      else output.line(`revision ${reply.revision}`);
    }),
  );
  withReadOptions(
    kv.command('get').argument('<key>').description('read a key; exit code 1 if it does not exist'),
  ).action(get);
  withReadOptions(
    kv
      .command('range')
      .argument('[prefix]', 'what the keys begin with; all keys unless given', '')
      .option('--keys', 'print keys only', false)
      .addOption(
        new Option('--limit <keys>', 'print at most this many').argParser(wholeNumber(1, Number.MAX_SAFE_INTEGER)),
      )
      .description('list keys in the order of their bytes, with revision and value; each page is as of its own moment'),
  ).action(range);
  registerKvWatch(kv);
  withCommonOptions(kv.command('delete').argument('<key>').description('delete a key')).action(
    (key: string, options: CommonOptions) =>
      run(options, async (client, output) => {
        const reply = await client.kv.delete(key);
        if (output.json) output.record(reply);
        else output.line(reply.deleted ? `deleted, revision ${reply.revision}` : 'was not there');
      }),
  );
  withCommonOptions(
    kv
      .command('cas')
      .argument('<key>')
      .argument(
        '<revision>',
        'the revision that the key must have; 0: it must not exist',
        wholeNumber(0, Number.MAX_SAFE_INTEGER),
      )
      .argument('<value>', valueHelp)
      .description('set a key if it was not changed since; exit code 1 if it was'),
  ).action((key: string, revision: number, value: string, options: CommonOptions) =>
    run(options, async (client, output) => {
      const reply = await client.kv.cas(key, await readValue(value), revision);
      if (output.json) output.record(reply);
      else if (reply.swapped) output.line(`revision ${reply.revision}`);
      if (reply.swapped) return;
      if (!output.json) output.note(`conclave: not swapped: the key has revision ${reply.revision}`);
      throw new Failed();
    }),
  );
}

function withReadOptions(command: Command): Command {
  return withCommonOptions(
    command
      .addOption(
        new Option(
          '--consistency <how>',
          'linearizable: confirmed by a quorum; lease: by the leader’s clock; stale: the state of the replying peer (default: linearizable, or stale with --peer)',
        ).choices(Consistency.options),
      )
      .addOption(new Option('--stale', 'as --consistency stale').default(false).conflicts('consistency'))
      .addOption(new Option('--peer <name>', 'ask this peer').argParser(parsePeer)),
  );
}

/** Which peer answers, and with which consistency. */
function askedOf({ consistency, stale, peer: peerId }: ReadOptions): { peerId?: PeerId; consistency?: Consistency } {
  const chosen = stale ? 'stale' : consistency;
  return { ...(peerId === undefined ? {} : { peerId }), ...(chosen === undefined ? {} : { consistency: chosen }) };
}

function get(key: string, options: GetOptions): Promise<void> {
  return run(options, async (client, output, adminClient) => {
    await findPeer(adminClient, options);
    const found = await client.kv.get(key, askedOf(options)).catch(hintAtPeer(options));
    if (output.json) output.record(found);
    else if (found.value !== null) printValue(output, found.value);
    if (found.value !== null) return;
    if (!output.json) output.fail(new ConclaveError('ENOENT', `there is no key ${JSON.stringify(key)}`));
    throw new Failed();
  });
}

/** Prints a line for each key, or a record with `--json`. */
function range(prefix: string, options: RangeOptions): Promise<void> {
  return run(options, async (client, output, adminClient) => {
    await findPeer(adminClient, options);
    let left = options.limit ?? Number.POSITIVE_INFINITY;
    let startAfter: string | undefined;
    while (left > 0) {
      const page = client.kv.range(prefix, {
        ...askedOf(options),
        ...(startAfter === undefined ? {} : { startAfter }),
        limit: Math.min(left, limits.rangeKeys),
        keysOnly: options.keys,
      });
      const { found, more } = await page.catch(hintAtPeer(options));
      for (const [key, value, revision] of found) {
        const shown = value instanceof Uint8Array ? Buffer.from(value).toString('base64') : value;
        if (output.json) output.record(options.keys ? { key, revision } : { key, value: shown, revision });
        else output.line([key, ...(options.keys ? [] : [String(revision), shown])].join('\t'));
      }
      left -= found.length;
      startAfter = found.at(-1)?.[0];
      if (!more) return;
    }
  });
}

/**
 * If nobody subscribes to the subject of a peer, the client repeats the request, because the peer may be starting. At a terminal
 * its name may be misspelled instead.
 * @throws ConclaveError EUNREACHABLE if nobody subscribes under this name
 */
async function findPeer(
  adminClient: AdminClient,
  { peer: peerId, timeoutMs = findTimeoutMs }: GetOptions,
): Promise<void> {
  if (peerId === undefined) return;
  await adminClient.health({ peerId, timeoutMs }).catch((error: unknown) => {
    if (isUnreachable(error)) throw error;
  });
}

/** Throws an error again; if a stale read that names no peer got no reply, with the option that needs no leader. */
export function hintAtPeer(options: ReadOptions): (error: unknown) => never {
  return (error) => {
    const isStale = options.peer === undefined && askedOf(options).consistency === 'stale';
    const isUnanswered = error instanceof ConclaveError && ['ETIMEDOUT', 'EUNREACHABLE'].includes(error.code);
    if (!isStale || !isUnanswered) throw error;
    const { code, message, outcome } = error;
    const hint = 'without --peer the leader is asked; --peer <name> needs no leader for a stale read';
    throw new ConclaveError(code, `${message}; ${hint}`, outcome);
  };
}

function run(
  options: CommonOptions,
  work: (client: ConclaveClient, output: Output, adminClient: AdminClient) => Promise<void>,
): Promise<void> {
  return runAction(options, (output) =>
    withClient(options, (client, adminClient) => work(client, output, adminClient)),
  );
}

async function readValue(argument: string): Promise<Value> {
  if (argument !== '-') return argument;
  return textOrBytes(await readStandardInput());
}

/** Returns text if all bytes are valid UTF-8; otherwise the bytes. */
export function textOrBytes(bytes: Uint8Array): Value {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return bytes;
  }
}

/** Prints binary values as they are, and text with an end of line. */
function printValue(output: Output, value: Value): void {
  if (typeof value === 'string') output.line(value);
  else output.out.write(value);
}
