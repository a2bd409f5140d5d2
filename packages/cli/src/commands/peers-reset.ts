/** `conclave peers reset`: lets the surviving peers of a group continue alone after its quorum is lost for good. */
import { ConclaveError, type PeerId } from '@conclave/protocol';
import type { Command } from 'commander';
import type { AdminClient } from '../admin-client.js';
import { type ConfirmOptions, confirm, withYesOption } from '../confirm.js';
import { withAdminClient } from '../connection.js';
import { type CommonOptions, parsePeer, parsePeers, splitList, withCommonOptions } from '../options.js';
import type { Output } from '../output.js';
import { runAction } from '../run-action.js';
import { peerSet } from '../views/format.js';

type ResetOptions = CommonOptions & ConfirmOptions & { readonly peer: PeerId; readonly newPeers: string[] };

const askTimeoutMs = 10_000;

export function registerPeersReset(peers: Command): void {
  withCommonOptions(
    withYesOption(peers.command('reset'))
      .requiredOption('--peer <peer>', 'the survivor that continues the group', parsePeer)
      .requiredOption('--new-peers <peers>', 'the surviving peers that continue, separated by commas', splitList)
      .description(
        'if the quorum is lost permanently: make a surviving peer continue with some peers, or alone. Run it for each of them',
      ),
  ).action((options: ResetOptions) => runAction(options, (output) => reset(output, options)));
}

async function reset(output: Output, options: ResetOptions): Promise<void> {
  const { peer: peerId } = options;
  const newPeers = parsePeers(options.newPeers);
  const what = `${peerId} will continue with ${peerSet(newPeers)} alone, and entries that only other peers hold will be lost.`;
  await confirm(output, options, what);
  await withAdminClient(options, async (adminClient) => {
    const timeoutMs = options.timeoutMs ?? askTimeoutMs;
    await checkSurvivors(adminClient, peerId, newPeers, timeoutMs);
    const reply = await adminClient.admin('reset_peer', { new_peers: newPeers }, { peerId, timeoutMs });
    if (output.json) return output.record(reply);
    output.line(`${peerId} continues as ${peerSet(reply.new_peers)} instead of ${peerSet(reply.old_peers)}`);
    output.line(`epoch ${reply.epoch}, history ${reply.group_uid} after ${reply.old_group_uid}`);
    output.line(reply.may_be_lost);
    const others = reply.new_peers.filter((other) => other !== peerId);
    if (others.length > 0) output.line(`give the same command to ${others.join(', ')}`);
  });
}

/**
 * Checks the new set: a member that is down would leave it without a quorum, and one that has lost its data would lose the data
 * that the reset is to save. Peers that were reset before belong to the next history already.
 * @throws ConclaveError EUNREACHABLE if one does not reply, EINVAL if one holds no data of the group
 */
async function checkSurvivors(
  adminClient: AdminClient,
  peerId: PeerId,
  newPeers: readonly PeerId[],
  timeoutMs: number,
): Promise<void> {
  await Promise.all(
    newPeers.map(async (one) => {
      const { group_uid } = await adminClient.admin('status', {}, { peerId: one, timeoutMs });
      if (group_uid !== '' || one === peerId) return;
      throw new ConclaveError(
        'EINVAL',
        `${one} holds no data of the group: name only surviving peers, and add it later`,
      );
    }),
  );
}
