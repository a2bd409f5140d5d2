/** `conclave snapshot`: has one peer, or each, take a snapshot of its state and let the log before it go. */
import { ConclaveError, type ErrorBody, type PeerId, type SnapshotReply } from '@conclave/protocol';
import { type Command, Option } from 'commander';
import { runAction } from '../action.js';
import { withRequester } from '../connection.js';
import { exitCodeOfAll, Failed } from '../exit-codes.js';
import { type CommonOptions, parsePeer, withCommonOptions } from '../options.js';
import type { Output } from '../output.js';
import type { Requester } from '../requester.js';
import { peersOf } from '../views/status-view.js';
import { bytesText, count } from '../views/words.js';

/** A large state takes its time. */
const defaultTimeoutMs = 600_000;
const statusTimeoutMs = 10_000;

interface SnapshotOptions extends CommonOptions {
  readonly peer?: PeerId;
}

export function registerSnapshot(program: Command): void {
  withCommonOptions(
    program
      .command('snapshot')
      .addOption(
        new Option('--peer <name>', 'of this peer alone').argParser(parsePeer).default(undefined, 'each member'),
      )
      .description('take a snapshot, and let the log before it go'),
  ).action((options: SnapshotOptions) =>
    runAction(options, (output) =>
      withRequester(options, async (requester) => {
        const peers = options.peer === undefined ? await membersOf(requester) : [options.peer];
        const timeoutMs = options.timeoutMs ?? defaultTimeoutMs;
        const failures = await Promise.all(peers.map((peerId) => takeOne(requester, peerId, timeoutMs, output)));
        const failed = failures.filter((error) => error !== undefined);
        if (failed.length > 0) throw new Failed(exitCodeOfAll(failed));
      }),
    ),
  );
}

async function membersOf(requester: Requester): Promise<PeerId[]> {
  return peersOf(await requester.admin('status', {}, { timeoutMs: statusTimeoutMs }), []);
}

/** One peer's trouble does not hold up the others. Answers it. */
async function takeOne(
  requester: Requester,
  peerId: PeerId,
  timeoutMs: number,
  output: Output,
): Promise<ConclaveError | undefined> {
  try {
    const reply = await requester.admin('snapshot', {}, { peerId, timeoutMs });
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
