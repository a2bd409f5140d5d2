/** `conclave peers reset`: the survivors of a group whose quorum is gone for good go on by themselves. */
import { ConclaveError, type PeerId } from '@conclave/protocol';
import type { Command } from 'commander';
import { runAction } from '../action.js';
import { withRequester } from '../connection.js';
import { type CommonOptions, parsePeer, parsePeers, splitList, withCommonOptions } from '../options.js';
import type { Output } from '../output.js';
import { peerSet } from '../views/words.js';

type ResetOptions = CommonOptions & { readonly peer: PeerId; readonly newPeers: string[]; readonly yes?: boolean };

const askTimeoutMs = 10_000;

export function registerPeersReset(peers: Command): void {
  withCommonOptions(
    peers
      .command('reset')
      .requiredOption('--peer <peer>', 'the survivor that is to go on', parsePeer)
      .requiredOption('--new-peers <peers>', 'who is to go on: survivors alone, with commas', splitList)
      .option('--yes', 'that what only the others hold is lost is meant')
      .description(
        'when the quorum is gone for good: have a survivor go on with some peers, or alone. Give each of them the same command',
      ),
  ).action((options: ResetOptions) => runAction(options, (output) => reset(output, options)));
}

async function reset(output: Output, options: ResetOptions): Promise<void> {
  const { peer: peerId, yes = false } = options;
  const newPeers = parsePeers(options.newPeers);
  if (!yes) {
    throw new ConclaveError(
      'EINVAL',
      `${peerId} would go on with ${peerSet(newPeers)} alone, and what only the others hold would be lost. ` +
        'It is not done without --yes',
    );
  }
  await withRequester(options, async (requester) => {
    const timeoutMs = options.timeoutMs ?? askTimeoutMs;
    const reply = await requester.admin('reset_peer', { new_peers: newPeers }, { peerId, timeoutMs });
    if (output.json) return output.record(reply);
    output.line(`${peerId} goes on as ${peerSet(reply.new_peers)} instead of ${peerSet(reply.old_peers)}`);
    output.line(`epoch ${reply.epoch}, history ${reply.group_uid} after ${reply.old_group_uid}`);
    output.line(reply.may_be_lost);
    const others = reply.new_peers.filter((other) => other !== peerId);
    if (others.length > 0) output.line(`give the same command to ${others.join(', ')}`);
  });
}
