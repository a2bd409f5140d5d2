/** `conclave leader transfer`: transfers the leadership of a group, or of all groups that a peer leads. */
import type { PeerId } from '@conclave/protocol';
import { type Command, Option } from 'commander';
import type { AdminClient } from '../admin-client.js';
import { continueWithoutReader } from '../closed-output.js';
import { withAdminClient } from '../connection.js';
import { exitCodeOfAll, Failed, UsageError } from '../exit-codes.js';
import { type CommonOptions, parsePeer, withCommonOptions } from '../options.js';
import { describeError, type Output } from '../output.js';
import { isTransient, retryUntil } from '../retry-until.js';
import { runAction } from '../run-action.js';

const defaultTimeoutMs = 10_000;

interface TransferOptions extends CommonOptions {
  readonly from?: PeerId;
  readonly allGroups?: true;
}

export function registerLeader(program: Command): void {
  const leader = program.command('leader').description('the leader of the group');
  withCommonOptions(
    leader
      .command('transfer')
      .argument('[peer]', 'the next leader; default: the most up-to-date peer', parsePeer)
      .addOption(
        new Option(
          '--from <peer>',
          'only if this peer leads, for instance before it is stopped; otherwise do nothing',
        ).argParser(parsePeer),
      )
      .option('--all-groups', 'every group that the peer of --from hosts and leads, instead of one group')
      .description('transfer the leadership'),
  ).action((peerId: PeerId | undefined, options: TransferOptions) =>
    runAction(options, async (output) => {
      const { allGroups, from } = options;
      if (allGroups !== true) return withAdminClient(options, (one) => transferOne(output, one, peerId, options));
      if (from === undefined || peerId !== undefined) {
        throw new UsageError('--all-groups needs --from <peer>, and the next leaders cannot be named');
      }
      return withAdminClient(options, (one) => transferAll(output, one, from, options));
    }),
  );
}

async function transferOne(
  output: Output,
  adminClient: AdminClient,
  peerId: PeerId | undefined,
  options: TransferOptions,
): Promise<void> {
  const { isTransferred, leaderId } = await transfer(adminClient, peerId, options);
  if (output.json) output.record({ leader_id: leaderId });
  else output.line(isTransferred ? `${leaderId} leads now` : `${options.from} does not lead: ${leaderId} does`);
}

async function transferAll(
  output: Output,
  adminClient: AdminClient,
  from: PeerId,
  options: TransferOptions,
): Promise<void> {
  continueWithoutReader();
  const { timeoutMs = defaultTimeoutMs } = options;
  const groups = await adminClient.hostedGroups({ peerId: from, timeoutMs });
  const failures: unknown[] = [];
  const transferOf = async (group: AdminClient): Promise<void> => {
    const { groupId } = group;
    try {
      const { isTransferred, leaderId } = await transfer(group, undefined, options);
      if (output.json) output.record({ group_id: groupId, leader_id: leaderId });
      else if (isTransferred) output.line(`${groupId}: ${leaderId} leads now`);
      else output.line(`${groupId}: ${from} does not lead: ${leaderId} does`);
    } catch (error) {
      failures.push(error);
      output.note(`conclave: ${groupId}: ${describeError(error)}`);
    }
  };
  await Promise.all(groups.map(transferOf));
  if (failures.length > 0) throw new Failed(exitCodeOfAll(failures));
}

/**
 * Transfers the leadership, unless another peer than `from` leads.
 * @returns the leader afterwards
 */
async function transfer(
  adminClient: AdminClient,
  peerId: PeerId | undefined,
  { from, timeoutMs = defaultTimeoutMs }: TransferOptions,
): Promise<{ readonly isTransferred: boolean; readonly leaderId: string }> {
  const request = { ...(peerId === undefined ? {} : { peer_id: peerId }), timeout_ms: timeoutMs };
  const before = await adminClient.admin('status', {}, { timeoutMs });
  if (from !== undefined && from !== before.leader_id) return { isTransferred: false, leaderId: before.leader_id };
  // The reply may arrive a little after the deadline that it reports.
  await adminClient.admin('transfer_leader', request, { timeoutMs: timeoutMs + 1_000 });
  const leaderId = peerId ?? (await leaderAfter(adminClient, before.leader_id, timeoutMs));
  return { isTransferred: true, leaderId };
}

/** Returns the leader after `before`, or `before` itself if there is no peer to transfer to. */
async function leaderAfter(adminClient: AdminClient, before: string, timeoutMs: number): Promise<string> {
  return retryUntil(
    'another peer leads',
    timeoutMs,
    async () => {
      const { leader_id } = await adminClient.admin('status', {}, { timeoutMs });
      return leader_id === before ? undefined : leader_id;
    },
    isTransient,
  );
}
