/** `conclave backup`: writes the state of a running group to a file. */
import type { PeerId } from '@conclave/protocol';
import { type Command, Option } from 'commander';
import type { AdminClient } from '../admin-client.js';
import { BackupWriter, checkReplaceable } from '../backup/backup-file.js';
import { retryIfReplaced, takeSnapshot } from '../backup/peer-snapshot.js';
import { withAdminClient } from '../connection.js';
import { type CommonOptions, parseFile, parsePeer, withCommonOptions } from '../options.js';
import { runAction } from '../run-action.js';
import { count } from '../views/format.js';

const statusTimeoutMs = 10_000;

interface BackupOptions extends CommonOptions {
  readonly peer?: PeerId;
}

export function registerBackup(program: Command): void {
  withCommonOptions(
    program
      .command('backup')
      .argument('<file>', 'the file to write', parseFile)
      .addOption(
        new Option(
          '--peer <name>',
          'the peer whose state to write; a follower may lag a little (default: the leader)',
        ).argParser(parsePeer),
      )
      .description('write the state of the group to a file while it runs'),
  ).action((file: string, options: BackupOptions) =>
    runAction(options, (output) =>
      withAdminClient(options, async (adminClient) => {
        await checkReplaceable(file);
        const peerId = options.peer ?? (await leaderOf(adminClient));
        const { head, digest } = await retryIfReplaced(() => write(adminClient, peerId, file));
        const { index, term, chunks, bytes } = head;
        if (output.json)
          output.record({ file, group_id: options.group, peer_id: peerId, index, term, chunks, bytes, digest });
        else
          output.line(
            `${file}: group ${options.group} as ${peerId} had it at entry ${count(index)}, ${count(bytes)} bytes of state`,
          );
      }),
    ),
  );
}

async function leaderOf(adminClient: AdminClient): Promise<PeerId> {
  return (await adminClient.admin('status', {}, { timeoutMs: statusTimeoutMs })).peer_id;
}

async function write(adminClient: AdminClient, peerId: PeerId, file: string) {
  const { group_uid } = await adminClient.admin('status', {}, { peerId, timeoutMs: statusTimeoutMs });
  const { snapshotId, head, chunks } = await takeSnapshot(adminClient, peerId);
  const writer = await BackupWriter.create(file, {
    group_id: adminClient.groupId,
    group_uid,
    peer_id: peerId,
    time: new Date().toISOString(),
    snapshot_id: snapshotId,
    head,
  });
  try {
    for await (const chunk of chunks) await writer.add(chunk);
    return { head, digest: await writer.end() };
  } catch (error) {
    await writer.abandon();
    throw error;
  }
}
