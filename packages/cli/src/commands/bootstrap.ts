/** `conclave bootstrap`: founds a group, unless it exists. It can be run at every start. */
import { type BootstrapReply, ConclaveError, type PeerId, peerIds } from '@conclave/protocol';
import type { Command } from 'commander';
import type { AdminClient } from '../admin-client.js';
import { withAdminClient } from '../connection.js';
import { type CommonOptions, parsePeers, splitList, withCommonOptions } from '../options.js';
import { isTransient, retryUntil } from '../retry-until.js';
import { runAction } from '../run-action.js';
import { bothSets, peerSet } from '../views/format.js';

const defaultTimeoutMs = 60_000;
const leaderTimeoutMs = 2_000;

interface BootstrapOptions extends CommonOptions {
  readonly peers: readonly string[];
  readonly new?: boolean;
}

export function registerBootstrap(program: Command): void {
  withCommonOptions(
    program
      .command('bootstrap')
      .argument('[peers...]', 'the peers of the new group; the first one is asked')
      .option('--peers <names>', 'the same, as one list', splitList, [])
      .option(
        '--new',
        'create it even if peers that are not listed hold data of an earlier group of this name without a leader',
      )
      .description('create the group with these peers; does nothing if the group exists'),
  ).action((words: string[], options: BootstrapOptions) =>
    runAction(options, async (output) => {
      const peers = parsePeers([...words, ...options.peers]);
      await withAdminClient(options, async (adminClient) => {
        const reply = await bootstrap(adminClient, peers, options.timeoutMs ?? defaultTimeoutMs, options.new).then(
          (found) => asItsLeaderSays(adminClient, found),
        );
        if (output.json) output.record(reply);
        else output.line(bootstrapText(reply));
      });
    }),
  );
}

/**
 * Sends the request until the peers are running, or the time is over. Repeated requests found one group.
 * @param isNew whether the group is founded even if other peers hold an earlier group of this name
 * @throws ConclaveError the last refusal
 */
export async function bootstrap(
  adminClient: AdminClient,
  peers: readonly PeerId[],
  timeoutMs: number,
  isNew = false,
): Promise<BootstrapReply> {
  let newGroup = isNew ? { new: true } : {};
  const deadline = performance.now() + timeoutMs;
  let attempts = 0;
  return retryUntil(
    `the group of ${peerSet(peers)} is founded`,
    timeoutMs,
    () => {
      // If the founder is down, another peer can still report that the group exists.
      const peerId = peers[attempts % peers.length];
      attempts += 1;
      if (peerId === undefined) throw new ConclaveError('EINVAL', 'name at least one peer');
      const left = Math.max(1, Math.ceil(deadline - performance.now()));
      return adminClient.admin(
        'bootstrap',
        { peers: [...peers], timeout_ms: left, ...newGroup },
        { peerId, timeoutMs: left },
      );
    },
    (error) => {
      // The group may exist already. Then these data belong to it, and are no reason for a refusal.
      if (error instanceof ConclaveError && error.outcome === 'unknown') newGroup = {};
      return isTransient(error) || (!isNew && isHeldByOthers(error));
    },
  );
}

/**
 * Returns the existing group as its leader reports it. The peer that was asked may have been removed, for example by a reset, and
 * then knows only the earlier group. If there is no leader, its report is used.
 */
async function asItsLeaderSays(adminClient: AdminClient, reply: BootstrapReply): Promise<BootstrapReply> {
  if (reply.founded) return reply;
  try {
    const { group_uid, leader_id, configuration } = await adminClient.admin(
      'status',
      {},
      { timeoutMs: leaderTimeoutMs },
    );
    const { peers = [], old_peers: oldPeers = [] } = configuration ?? {};
    return { ...reply, group_uid, leader_id, peers: peerIds(peers), old_peers: peerIds(oldPeers) };
  } catch (error) {
    if (error instanceof ConclaveError) return reply;
    throw error;
  }
}

/** Peers hold data and there is no leader. The missing peers may be starting, as at the start of a deployment. */
function isHeldByOthers(error: unknown): boolean {
  return error instanceof ConclaveError && error.code === 'ENOTEMPTY';
}

export function bootstrapText(reply: BootstrapReply): string {
  const led = reply.leader_id === '' ? '; nobody leads it now: see `conclave status`' : `; ${reply.leader_id} leads`;
  const what = reply.founded ? 'founded' : 'was there already';
  return `group ${reply.group_id} ${what}: ${bothSets(reply.peers, reply.old_peers)}${led}`;
}
