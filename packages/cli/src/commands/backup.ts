/** `conclave backup`: the state of a live group as a file. */
import type { PeerId } from '@conclave/protocol';
import { type Command, Option } from 'commander';
import { runAction } from '../action.js';
import { BackupReader, BackupWriter } from '../backup/backup-file.js';
import { again, takeSnapshot } from '../backup/peer-snapshot.js';
import { withRequester } from '../connection.js';
import { type CommonOptions, parsePeer, withCommonOptions } from '../options.js';
import type { Requester } from '../requester.js';
import { count } from '../views/words.js';

const statusTimeoutMs = 10_000;

interface BackupOptions extends CommonOptions {
  readonly peer?: PeerId;
}

export function registerBackup(program: Command): void {
  withCommonOptions(
    program
      .command('backup')
      .argument('<file>', 'what is to be written')
      .addOption(
        new Option('--peer <name>', 'whose state; another than the leader may be a little behind')
          .argParser(parsePeer)
          .default(undefined, 'the leader'),
      )
      .description('write the state of the group to a file, while it goes on'),
  ).action((file: string, options: BackupOptions) =>
    runAction(options, (output) =>
      withRequester(options, async (requester) => {
        const peerId = options.peer ?? (await leaderOf(requester));
        const head = await again(() => write(requester, peerId, file));
        const reader = await BackupReader.open(file);
        const digest = await reader.check().finally(() => reader.close());
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

async function leaderOf(requester: Requester): Promise<PeerId> {
  return (await requester.admin('status', {}, { timeoutMs: statusTimeoutMs })).peer_id;
}

async function write(requester: Requester, peerId: PeerId, file: string) {
  const { group_uid } = await requester.admin('status', {}, { peerId, timeoutMs: statusTimeoutMs });
  const { snapshotId, head, chunks } = await takeSnapshot(requester, peerId);
  const writer = await BackupWriter.create(file, {
    group_id: requester.groupId,
    group_uid,
    peer_id: peerId,
    time: new Date().toISOString(),
    snapshot_id: snapshotId,
    head,
  });
  try {
    for await (const chunk of chunks) await writer.add(chunk);
    await writer.end();
    return head;
  } catch (error) {
    await writer.abandon();
    throw error;
  }
}
