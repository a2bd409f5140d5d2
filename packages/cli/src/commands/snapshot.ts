/** `conclave snapshot`: makes one peer, or each member, take a snapshot of its state and compact its log. */
import { ConclaveError, type ErrorBody, type PeerId, type SnapshotReply } from '@conclave/protocol';
import { type Command, Option } from 'commander';
import type { AdminClient } from '../admin-client.js';
import { continueWithoutReader } from '../closed-output.js';
import { withAdminClient } from '../connection.js';
import { exitCodeOfAll, Failed } from '../exit-codes.js';
import { type CommonOptions, parsePeer, withCommonOptions } from '../options.js';
import type { Output } from '../output.js';
import { runAction } from '../run-action.js';
import { bytesText, count } from '../views/format.js';
import { peersOf } from '../views/status-view.js';

/** A snapshot of a large state takes long. */
const defaultTimeoutMs = 600_000;
const statusTimeoutMs = 10_000;

interface SnapshotOptions extends CommonOptions {
  readonly peer?: PeerId;
}

export function registerSnapshot(program: Command): void {
  withCommonOptions(
    program
      .command('snapshot')
      .addOption(new Option('--peer <name>', 'only this peer (default: each member)').argParser(parsePeer))
      .description('take a snapshot, and compact the log before it'),
  ).action((options: SnapshotOptions) =>
    runAction(options, (output) =>
      withAdminClient(options, async (adminClient) => {
        continueWithoutReader();
        const peers = options.peer === undefined ? await membersOf(adminClient) : [options.peer];
        const timeoutMs = options.timeoutMs ?? defaultTimeoutMs;
        const failures = await Promise.all(peers.map((peerId) => takeOne(adminClient, peerId, timeoutMs, output)));
        const failed = failures.filter((error) => error !== undefined);
        if (failed.length > 0) throw new Failed(exitCodeOfAll(failed));
      }),
    ),
  );
}

async function membersOf(adminClient: AdminClient): Promise<PeerId[]> {
  return peersOf(await adminClient.admin('status', {}, { timeoutMs: statusTimeoutMs }), []);
}

/** Makes one peer take a snapshot; a failure does not delay the others. Returns the error, if there is one. */
async function takeOne(
  adminClient: AdminClient,
  peerId: PeerId,
  timeoutMs: number,
  output: Output,
): Promise<ConclaveError | undefined> {
  try {
    const reply = await adminClient.admin('snapshot', {}, { peerId, timeoutMs });
    if (output.json) output.record({ peer_id: peerId, ...reply });
    else output.line(snapshotText(peerId, reply));
    return undefined;
  } catch (error) {
    if (!(error instanceof ConclaveError)) throw error;
    output.fail(named(peerId, error.toBody()));
    return error;
  }
}

export function snapshotText(peerId: PeerId, reply: SnapshotReply): string {
  const { taken, index, bytes, first_index } = reply;
  const what = taken ? 'snapshot' : 'nothing new since the snapshot';
  return `${peerId}: ${what} at index ${count(index)}, ${bytesText(bytes)}; its log begins at ${count(first_index)}`;
}

function named(peerId: PeerId, { code, message, outcome }: ErrorBody): ConclaveError {
  return new ConclaveError(code, `${peerId}: ${message}`, outcome);
}
