/** `conclave restore`: founds a new group with the state of a backup, and compares the state of its peers with the backup. */
import { randomUUID } from 'node:crypto';
import { ConclaveError, type PeerId, type SnapshotHead } from '@conclave/protocol';
import type { Command } from 'commander';
import type { AdminClient } from '../admin-client.js';
import { BackupReader } from '../backup/backup-file.js';
import { digestOf } from '../backup/peer-snapshot.js';
import { withAdminClient } from '../connection.js';
import { UsageError } from '../exit-codes.js';
import { type CommonOptions, parseFile, parsePeers, splitList, withCommonOptions } from '../options.js';
import type { Output } from '../output.js';
import { isTransient, isUnreachable, retryUntil } from '../retry-until.js';
import { runAction } from '../run-action.js';
import { count, peerSet } from '../views/format.js';
import { bootstrap } from './bootstrap.js';

const defaultTimeoutMs = 600_000;
const chunkTimeoutMs = 10_000;
/** All peers that may hold the group are asked for at least three election timeouts. */
const foundingMs = 60_000;
/** A starting peer subscribes within this time. */
const hostedWithinMs = 10_000;

/** What the first peer is compared with. */
interface Compared {
  readonly digest: string;
  readonly head: Pick<SnapshotHead, 'index'>;
}

interface RestoreOptions extends CommonOptions {
  readonly peers: readonly string[];
  readonly new?: boolean;
}

export function registerRestore(program: Command): void {
  withCommonOptions(
    program
      .command('restore')
      .argument('<file>', 'a file of `conclave backup`', parseFile)
      .requiredOption(
        '--peers <names>',
        'the peers of the new group, without data of it; the first one creates it',
        splitList,
      )
      .option('--new', 'even if peers that are not listed hold data of an earlier group of this name without a leader')
      .description('create a new group with the state of a backup, and compare the states of its peers with it'),
  ).action((file: string, options: RestoreOptions) =>
    runAction(options, async (output) => {
      const peers = parsePeers(options.peers);
      const reader = await BackupReader.open(file);
      try {
        await withAdminClient(options, (adminClient) => restore(adminClient, output, reader, peers, options));
      } finally {
        await reader.close();
      }
    }),
  );
}

async function restore(
  adminClient: AdminClient,
  output: Output,
  reader: BackupReader,
  peers: readonly PeerId[],
  options: RestoreOptions,
): Promise<void> {
  const timeoutMs = options.timeoutMs ?? defaultTimeoutMs;
  const [founder] = peers;
  if (founder === undefined) throw new UsageError('name at least one peer');
  const digest = await reader.check();
  const { head } = reader.head;
  await checkHosts(adminClient, peers, Math.min(hostedWithinMs, timeoutMs));
  const restoreId = `restore-${randomUUID()}`;
  await sendChunks(adminClient, reader, restoreId, founder, timeoutMs);
  await begin(adminClient, peers, founder, { restore_id: restoreId, head }, timeoutMs, options.new === true);
  await compareFirst(adminClient, founder, { digest, head }, timeoutMs);
  const { group_uid, peers: taken } = await bootstrap(adminClient, peers, timeoutMs);
  if (peers.length > 1) await compareOthers(adminClient, founder, peers.slice(1), timeoutMs);
  if (output.json) {
    output.record({ group_id: options.group, group_uid, peers: taken, index: head.index, bytes: head.bytes, digest });
    return;
  }
  output.line(
    `group ${options.group} of ${peerSet(peers)} has the state of ${reader.head.group_id} at entry ${count(head.index)}`,
  );
}

/** A peer does not host a group by itself, so waiting for that would not help. */
async function checkHosts(adminClient: AdminClient, peers: readonly PeerId[], withinMs: number): Promise<void> {
  const listening = await Promise.all(peers.map((peerId) => isListening(adminClient, peerId, withinMs)));
  const missing = peers.filter((_, index) => !listening[index]);
  if (missing.length === 0) return;
  const { groupId } = adminClient;
  const create = `conclave groups create ${groupId} --peers ${peers.join()} --no-bootstrap`;
  throw new ConclaveError(
    'EUNREACHABLE',
    `no process answers for group ${groupId} at ${missing.join(', ')}. ` +
      `If they are up, have them host it: \`${create}\`, or name it in their --groups`,
  );
}

/** Whether the peer's node accepts requests of the group, such as `restore_chunk`, whatever its reply is. */
async function isListening(adminClient: AdminClient, peerId: PeerId, withinMs: number): Promise<boolean> {
  try {
    const ask = () => adminClient.admin('status', {}, { peerId, timeoutMs: withinMs });
    await retryUntil(`${peerId} hosts the group`, withinMs, ask, isUnreachable);
    return true;
  } catch (error) {
    return !isUnreachable(error);
  }
}

async function sendChunks(
  adminClient: AdminClient,
  reader: BackupReader,
  restoreId: string,
  peerId: PeerId,
  timeoutMs: number,
): Promise<void> {
  let number = 0;
  for await (const chunk of reader.chunks()) {
    const request = { restore_id: restoreId, number, chunk };
    // A repeated chunk has no effect.
    await retryUntil(
      `${peerId} accepts chunk ${number}`,
      timeoutMs,
      () => adminClient.admin('restore_chunk', request, { peerId, timeoutMs: chunkTimeoutMs }),
      isTransient,
    );
    number += 1;
  }
}

/** Makes the first peer found the group. Its node restarts with the backup, so the result is read from its status afterwards. */
async function begin(
  adminClient: AdminClient,
  peers: readonly PeerId[],
  peerId: PeerId,
  restore: { restore_id: string; head: BackupReader['head']['head'] },
  timeoutMs: number,
  isNew: boolean,
): Promise<void> {
  const newGroup = isNew ? { new: true } : {};
  await retryUntil(
    `${peerId} begins with the backup`,
    timeoutMs,
    async () => {
      const { group_uid } = await adminClient.admin('status', {}, { peerId, timeoutMs: chunkTimeoutMs });
      if (group_uid !== '') return true;
      const request = { peers: [...peers], restore, timeout_ms: foundingMs, ...newGroup };
      const reply = await adminClient.admin('bootstrap', request, { peerId, timeoutMs: foundingMs + chunkTimeoutMs });
      // Nothing is founded if another peer holds the group.
      throw new ConclaveError('ENOTEMPTY', `the group exists already, with the peers ${peerSet(reply.peers)}`);
    },
    isTransient,
  );
}

/**
 * Compares what the first peer has with the backup, before other peers are added: first the snapshot that it has stored, from which
 * it restores its state, and then this state, unless entries have changed it since: leases in the backup end in the new group,
 * too, and clients may write as soon as there is a leader.
 */
async function compareFirst(
  adminClient: AdminClient,
  peerId: PeerId,
  backup: Compared,
  timeoutMs: number,
): Promise<void> {
  const read = (of: 'state' | 'snapshot') =>
    retryUntil(`${peerId} has its ${of}`, timeoutMs, () => digestOf(adminClient, peerId, of), isTransient);
  const stored = await read('snapshot');
  const isBackup = stored.head.index === backup.head.index;
  if (isBackup && stored.digest !== backup.digest) throw notTheBackup(`the snapshot of ${peerId}`);
  const state = await read('state');
  if (state.digest === backup.digest) return;
  if (!hasChanged(backup.head, state.head)) throw notTheBackup(`the state of ${peerId}`);
  if (isBackup) return;
  throw new ConclaveError(
    'EBUSY',
    `${peerId} began with the backup, but it was not compared with it: a newer snapshot has replaced it already`,
    'unknown',
  );
}

function notTheBackup(what: string): ConclaveError {
  return new ConclaveError('ECORRUPT', `${what} is not that of the backup: it is damaged`, 'unknown');
}

/** Whether there are entries after the backup, up to this later state, that may change the state: all but configurations. */
function hasChanged(backup: Compared['head'], now: SnapshotHead): boolean {
  const configurations = now.configurations.filter(({ index }) => index > backup.index && index <= now.index);
  return now.index - backup.index > configurations.length;
}

/** Waits until the states of all members have been compared after the same entry, and are equal. */
async function compareOthers(
  adminClient: AdminClient,
  first: PeerId,
  others: readonly PeerId[],
  timeoutMs: number,
): Promise<void> {
  try {
    await retryUntil(
      `${others.join(', ')} have what ${first} has`,
      timeoutMs,
      async () => {
        const compared = await adminClient.admin('check', {}, { timeoutMs: chunkTimeoutMs });
        return compared.differing.length + compared.unanswered.length === 0 ? true : undefined;
      },
      isTransient,
    );
  } catch (error) {
    if (!(error instanceof ConclaveError && error.code === 'EUNSUPPORTED')) throw error;
    for (const peerId of others) await compareSnapshots(adminClient, first, peerId, timeoutMs);
  }
}

/** In a group of level 0: waits until two peers that have applied the same entries have the same state. */
async function compareSnapshots(
  adminClient: AdminClient,
  first: PeerId,
  peerId: PeerId,
  timeoutMs: number,
): Promise<void> {
  await retryUntil(
    `${peerId} has what ${first} has`,
    timeoutMs,
    async () => {
      const [one, other] = await Promise.all([digestOf(adminClient, first), digestOf(adminClient, peerId)]);
      return one.digest === other.digest ? true : undefined;
    },
    isTransient,
  );
}
