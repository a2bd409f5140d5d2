/** `conclave groups`: lists the groups that the peers host, and creates and deletes groups while the peers run. */
import { ConclaveError, type GroupId, GroupList, type HostReply, type PeerId, type Subjects } from '@conclave/protocol';
import { type Command, Option } from 'commander';
import type { NatsConnection } from 'nats';
import { type ConfirmOptions, confirm, withYesOption } from '../confirm.js';
import { withAdminClient } from '../connection.js';
import { exitCodeOfAll, Failed } from '../exit-codes.js';
import {
  type CommonOptions,
  defaultGroup,
  parseGroup,
  parsePeers,
  splitList,
  withGrouplessOptions,
} from '../options.js';
import { describeError, type Output } from '../output.js';
import { isTransient, retryUntil } from '../retry-until.js';
import { runAction } from '../run-action.js';
import { peerSet } from '../views/format.js';
import { table } from '../views/tables.js';
import { bootstrap, bootstrapText } from './bootstrap.js';

const defaultTimeoutMs = 30_000;
/** Peers publish their list of groups every second. */
const listenMs = 1_500;

interface GroupsOptions extends Omit<CommonOptions, 'group'> {
  readonly peers: readonly string[];
}

export function registerGroups(program: Command): void {
  const groups = program.command('groups').description('the groups that the peers host');
  const peersOption = (text: string): Option => new Option('--peers <names>', text).argParser(splitList);
  const withPeers = (command: Command, text: string): Command =>
    withGrouplessOptions(command.addOption(peersOption(text).makeOptionMandatory()));

  withGrouplessOptions(
    groups
      .command('list')
      .addOption(peersOption('these peers, separated by commas').default([], 'all that publish a list'))
      .description('list which peers host which groups, and the state of their stores'),
  ).action((options: GroupsOptions) => runAction(options, (output) => list(output, options)));

  withPeers(
    groups
      .command('create')
      .argument('<group>', 'the name of the group', parseGroup)
      .option('--no-bootstrap', 'only make the peers host the group, for instance as spare peers')
      .description('make running peers host a group, and create it; if it exists, nothing is changed'),
    'the peers of the group, separated by commas',
  ).action((groupId: GroupId, options: GroupsOptions & { readonly bootstrap: boolean }) =>
    runAction(options, (output) => create(output, groupId, options)),
  );

  withPeers(
    withYesOption(groups.command('delete'))
      .argument('<group>', 'the name of the group', parseGroup)
      .description('stop a group on running peers and delete its data permanently'),
    'the peers, separated by commas: all that host it',
  ).action((groupId: GroupId, options: GroupsOptions & ConfirmOptions) =>
    runAction(options, (output) => remove(output, groupId, options)),
  );
}

async function list(output: Output, options: GroupsOptions): Promise<void> {
  const timeoutMs = options.timeoutMs ?? defaultTimeoutMs;
  const named = options.peers.length > 0 ? parsePeers(options.peers) : undefined;
  // These requests belong to no group.
  await withAdminClient({ ...options, group: defaultGroup }, async (adminClient) => {
    const peers = named ?? (await publishers(adminClient.connection, adminClient.subjects));
    const results = await askAll(peers, (peerId) => adminClient.host('list_groups', {}, { peerId, timeoutMs }));
    if (output.json) output.record({ peers: results.flatMap(({ reply }) => reply ?? []) });
    else output.line(listText(results.flatMap(({ reply }) => reply ?? [])));
    failFor(output, results);
  });
}

async function create(
  output: Output,
  groupId: GroupId,
  options: GroupsOptions & { readonly bootstrap: boolean },
): Promise<void> {
  const timeoutMs = options.timeoutMs ?? defaultTimeoutMs;
  const deadline = performance.now() + timeoutMs;
  const peers = parsePeers(options.peers);
  await withAdminClient({ ...options, group: groupId }, async (adminClient) => {
    const answers = await askAll(peers, (peerId) =>
      insist(timeoutMs, (leftMs) =>
        adminClient.host('create_group', { group_id: groupId }, { peerId, timeoutMs: leftMs }),
      ),
    );
    failFor(output, answers);
    const created = answers.flatMap(({ peerId, reply }) => (reply?.created ? [peerId] : []));
    if (!options.bootstrap) {
      if (output.json) output.record({ group_id: groupId, created });
      else output.line(`group ${groupId} is hosted by ${peerSet(peers)}`);
      return;
    }
    const founded = await bootstrap(adminClient, peers, Math.max(1, Math.ceil(deadline - performance.now())));
    if (output.json) output.record({ group_id: groupId, created, bootstrap: founded });
    else output.line(bootstrapText(founded));
  });
}

async function remove(output: Output, groupId: GroupId, options: GroupsOptions & ConfirmOptions): Promise<void> {
  const timeoutMs = options.timeoutMs ?? defaultTimeoutMs;
  const peers = parsePeers(options.peers);
  await confirm(output, options, `All data of group ${groupId} at ${peerSet(peers)} will be removed, for good.`);
  await withAdminClient({ ...options, group: groupId }, async (adminClient) => {
    const answers = await askAll(peers, (peerId) =>
      insist(timeoutMs, (leftMs) =>
        adminClient.host('delete_group', { group_id: groupId }, { peerId, timeoutMs: leftMs }),
      ),
    );
    const deleted = answers.flatMap(({ peerId, reply }) => (reply?.deleted ? [peerId] : []));
    if (output.json) output.record({ group_id: groupId, deleted });
    else if (deleted.length > 0) output.line(`group ${groupId} is deleted at ${peerSet(deleted)}`);
    else if (answers.every(({ error }) => error === undefined)) {
      output.line(`none of these peers had anything of group ${groupId}`);
    }
    for (const { peerId, reply } of answers) {
      if (reply !== undefined && reply.actors.length > 0) {
        output.note(`conclave: ${peerId} still runs its ${reply.actors.join(', ')} of ${groupId}`);
      }
    }
    failFor(output, answers);
  });
}

/** Repeats the request while that may help, because a peer may still be starting. */
function insist<T>(timeoutMs: number, ask: (leftMs: number) => Promise<T>): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  return retryUntil(
    'the peer answers',
    timeoutMs,
    () => ask(Math.max(1, Math.ceil(deadline - performance.now()))),
    isTransient,
  );
}

interface PeerResult<T> {
  readonly peerId: PeerId;
  readonly reply?: T;
  readonly error?: unknown;
}

function askAll<T>(peers: readonly PeerId[], ask: (peerId: PeerId) => Promise<T>): Promise<PeerResult<T>[]> {
  return Promise.all(
    peers.map((peerId) =>
      ask(peerId).then(
        (reply) => ({ peerId, reply }),
        (error: unknown) => ({ peerId, error }),
      ),
    ),
  );
}

/** Names the peers that did not reply; fails if there are any. */
function failFor(output: Output, results: readonly PeerResult<unknown>[]): void {
  const failed = results.filter(({ error }) => error !== undefined);
  for (const { peerId, error } of failed) output.note(`conclave: ${peerId}: ${describeError(error)}`);
  if (failed.length > 0) throw new Failed(exitCodeOfAll(failed.map(({ error }) => error)));
}

/** Returns the peers that publish a list of groups. */
async function publishers(connection: NatsConnection, subjects: Subjects): Promise<PeerId[]> {
  const peers = new Set<PeerId>();
  const lists = subjects.groupLists();
  const subscriptions = [lists, subjects.ofFirstVersion(lists)].map((subject) =>
    connection.subscribe(subject, {
      callback: (error, message) => {
        if (error !== null) return;
        const parsed = GroupList.safeParse(tryJson(message.data));
        if (!parsed.success) return;
        const { peer_id: peerId } = parsed.data;
        const own = subjects.groupList(peerId);
        if (message.subject === own || message.subject === subjects.ofFirstVersion(own)) peers.add(peerId);
      },
    }),
  );
  await new Promise((resolve) => setTimeout(resolve, listenMs));
  for (const subscription of subscriptions) subscription.unsubscribe();
  if (peers.size === 0) throw new ConclaveError('EUNREACHABLE', 'no peer reports which groups it hosts');
  return [...peers].toSorted();
}

function tryJson(data: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(data));
  } catch {
    return undefined;
  }
}

function listText(replies: readonly HostReply<'list_groups'>[]): string {
  const rows = replies.flatMap(({ peer_id, groups }) =>
    groups.map(({ group_id, group_uid, last_index, fixed }) => [
      group_id,
      peer_id,
      last_index,
      group_uid === '' ? 'not founded' : group_uid,
      fixed ? '--groups' : 'created',
    ]),
  );
  const sorted = rows.toSorted((one, other) => (`${one[0]} ${one[1]}` < `${other[0]} ${other[1]}` ? -1 : 1));
  return table(['group', 'peer', 'last index', 'history', 'by'], sorted, ['last index']);
}
