/** `conclave leader transfer`: hands the leadership over. */
import type { PeerId } from '@conclave/protocol';
import { type Command, Option } from 'commander';
import type { AdminClient } from '../admin-client.js';
import { withAdminClient } from '../connection.js';
import { type CommonOptions, parsePeer, withCommonOptions } from '../options.js';
import { isTransient, retryUntil } from '../retry-until.js';
import { runAction } from '../run-action.js';

const defaultTimeoutMs = 10_000;

export function registerLeader(program: Command): void {
  const leader = program.command('leader').description('the leader of the group');
  withCommonOptions(
    leader
      .command('transfer')
      .argument('[peer]', 'who is to lead; the most up-to-date peer where none is named', parsePeer)
      .addOption(
        new Option(
          '--from <peer>',
          'only if this peer leads, for instance before it is stopped; otherwise do nothing',
        ).argParser(parsePeer),
      )
      .description('transfer the leadership'),
  ).action((peerId: PeerId | undefined, options: CommonOptions & { readonly from?: PeerId }) =>
    runAction(options, (output) =>
      withAdminClient(options, async (adminClient) => {
        const timeoutMs = options.timeoutMs ?? defaultTimeoutMs;
        const request = { ...(peerId === undefined ? {} : { peer_id: peerId }), timeout_ms: timeoutMs };
        const before = await adminClient.admin('status', {}, { timeoutMs });
        if (options.from !== undefined && options.from !== before.leader_id) {
          if (output.json) output.record({ leader_id: before.leader_id });
          else output.line(`${options.from} does not lead: ${before.leader_id} does`);
          return;
        }
        // The answer may come a little after the deadline that it reports.
        const reply = await adminClient.admin('transfer_leader', request, { timeoutMs: timeoutMs + 1_000 });
        const leader = peerId ?? (await leaderAfter(adminClient, before.leader_id, timeoutMs));
        if (output.json) output.record({ ...reply, leader_id: leader });
        else output.line(`${leader} leads now`);
      }),
    ),
  );
}

/** Who leads after `before`, or that one itself where there is nobody to hand over to. */
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
