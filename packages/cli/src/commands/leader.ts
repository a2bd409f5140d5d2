/** `conclave leader transfer`: hands the leadership over. */
import type { PeerId } from '@conclave/protocol';
import { type Command, Option } from 'commander';
import { runAction } from '../action.js';
import { withRequester } from '../connection.js';
import { type CommonOptions, parsePeer, withCommonOptions } from '../options.js';
import type { Requester } from '../requester.js';
import { isPassing, until } from '../until.js';

const defaultTimeoutMs = 10_000;

export function registerLeader(program: Command): void {
  const leader = program.command('leader').description('who leads');
  withCommonOptions(
    leader
      .command('transfer')
      .argument('[peer]', 'who is to lead; the most up-to-date peer where none is named', parsePeer)
      .addOption(
        new Option('--from <peer>', 'only if this peer leads, as before it is stopped; else do nothing').argParser(
          parsePeer,
        ),
      )
      .description('hand the leadership over'),
  ).action((peerId: PeerId | undefined, options: CommonOptions & { readonly from?: PeerId }) =>
    runAction(options, (output) =>
      withRequester(options, async (requester) => {
        const timeoutMs = options.timeoutMs ?? defaultTimeoutMs;
        const request = { ...(peerId === undefined ? {} : { peer_id: peerId }), timeout_ms: timeoutMs };
        const before = await requester.admin('status', {}, { timeoutMs });
        if (options.from !== undefined && options.from !== before.leader_id) {
          if (output.json) output.record({ leader_id: before.leader_id });
          else output.line(`${options.from} does not lead: ${before.leader_id} does`);
          return;
        }
        // The answer may come a little after the deadline that it reports.
        const reply = await requester.admin('transfer_leader', request, { timeoutMs: timeoutMs + 1_000 });
        const leader = peerId ?? (await leaderAfter(requester, before.leader_id, timeoutMs));
        if (output.json) output.record({ ...reply, leader_id: leader });
        else output.line(`${leader} leads now`);
      }),
    ),
  );
}

/** Who leads after `before`, or that one itself where there is nobody to hand over to. */
async function leaderAfter(requester: Requester, before: string, timeoutMs: number): Promise<string> {
  return until(
    'another peer leads',
    timeoutMs,
    async () => {
      const { leader_id } = await requester.admin('status', {}, { timeoutMs });
      return leader_id === before ? undefined : leader_id;
    },
    isPassing,
  );
}
