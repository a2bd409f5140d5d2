/**
 * `conclave credentials`: creates keys, certificates and the configuration of NATS servers that accept no other logins. It sends
 * no requests.
 */
import path from 'node:path';
import type { GroupId, PeerId } from '@conclave/protocol';
import { type Command, Option } from 'commander';
import { UsageError } from '../exit-codes.js';
import { defaultGroup, parseGroup, parsePeer, splitList, wholeNumber, withPrefixOptions } from '../options.js';
import type { Output } from '../output.js';
import { runAction } from '../run-action.js';

interface CredentialsCommandOptions {
  readonly out: string;
  readonly peers: readonly PeerId[];
  readonly group: readonly GroupId[];
  readonly allGroups: boolean;
  readonly prefix: string;
  readonly hosts: readonly string[];
  readonly routes: readonly string[];
  readonly natsFolder?: string;
  readonly owner?: number;
  readonly json: boolean;
}

export function registerCredentials(program: Command): void {
  withPrefixOptions(program.command('credentials'))
    .description(
      'create what is missing in a folder: a key for each peer and role, certificates, and the configuration of NATS servers that ' +
        'accept no other logins',
    )
    .addOption(new Option('--out <folder>', 'the folder').makeOptionMandatory())
    .addOption(
      new Option('--peers <names>', 'the peers, separated by commas')
        .argParser((text) => splitList(text).map(parsePeer))
        .makeOptionMandatory(),
    )
    .addOption(
      new Option('--group <names>', 'the groups of clients, readers and observers')
        .argParser((text) => splitList(text).map(parseGroup))
        .default([defaultGroup], defaultGroup),
    )
    .option('--all-groups', 'all groups', false)
    .addOption(
      new Option('--hosts <names>', 'names and addresses under which the servers are reached')
        .argParser(splitList)
        .default(['localhost', '127.0.0.1'], 'localhost,127.0.0.1'),
    )
    .addOption(
      new Option('--routes <names>', 'the servers of a cluster, by host name')
        .argParser(splitList)
        .default([], 'one server'),
    )
    .option('--nats-folder <folder>', 'the path of <out>/nats on the servers (default: the same)')
    .addOption(
      new Option('--owner <uid>', 'the user id that owns the logins, if root creates them').argParser(
        wholeNumber(0, 2 ** 31 - 1),
      ),
    )
    .action((options: CredentialsCommandOptions) => runAction(options, (output) => make(options, output)));
}

async function make(options: CredentialsCommandOptions, output: Output): Promise<void> {
  const { peers, hosts, routes, prefix } = options;
  if (peers.length === 0) throw new UsageError('name at least one peer');
  if (hosts.length === 0) throw new UsageError('name at least one host');
  const folder = path.resolve(options.out);
  // Loaded only by this command: loading it takes longer than most other commands take to run.
  const { makeCredentials } = await import('../credentials/credentials-folder.js');
  const made = makeCredentials({
    folder,
    peers,
    hosts,
    routes,
    prefix,
    groups: options.allGroups ? [] : options.group,
    natsFolder: options.natsFolder ?? path.join(folder, 'nats'),
    owner: options.owner,
    nowMs: Date.now(),
  });
  if (output.json) output.record({ folder, made });
  else output.line(made.length === 0 ? `all is there, in ${folder}` : [`written in ${folder}:`, ...made].join('\n  '));
}
