/** `conclave check`: compares the current states of all members by their digests. */
import type { ComparedStates } from '@conclave/protocol';
import type { Command } from 'commander';
import { withAdminClient } from '../connection.js';
import { type ExitCode, exitCodes, Failed } from '../exit-codes.js';
import { type CommonOptions, withCommonOptions } from '../options.js';
import { runAction } from '../run-action.js';
import { count } from '../views/format.js';

const defaultTimeoutMs = 15_000;

export function registerCheck(program: Command): void {
  withCommonOptions(
    program
      .command('check')
      .description(
        "compare the members' states by their digests; exit code 1 if any differs, 4 if too few have answered",
      ),
  ).action((options: CommonOptions) =>
    runAction(options, (output) =>
      withAdminClient(options, async (adminClient) => {
        const compared = await adminClient.admin('check', {}, { timeoutMs: options.timeoutMs ?? defaultTimeoutMs });
        if (output.json) output.record(compared);
        else for (const line of checkLines(compared)) output.line(line);
        const exitCode = checkExitCode(compared);
        if (exitCode !== exitCodes.done) throw new Failed(exitCode);
      }),
    ),
  );
}

/** Whether the states are equal, as an exit code: they are, one differs, or too few members have answered to know it. */
export function checkExitCode({ differing, has_majority }: ComparedStates): ExitCode {
  if (differing.length > 0) return exitCodes.negative;
  return has_majority ? exitCodes.done : exitCodes.unreachable;
}

/** A line for each member, and one with the result. */
export function checkLines({ index, members, differing, unanswered, has_majority }: ComparedStates): string[] {
  const lines = members.map(({ peer_id, digest }) => {
    const isDifferent = has_majority && differing.includes(peer_id);
    return `${peer_id}  ${digest}${isDifferent ? '  differs' : ''}`;
  });
  for (const peerId of unanswered) lines.push(`${peerId}  did not answer`);
  return [...lines, `${verdict(differing, has_majority)}, at index ${count(index)}`];
}

function verdict(differing: readonly string[], hasMajority: boolean): string {
  if (differing.length === 0) return hasMajority ? 'no state differs' : 'too few members have answered';
  if (!hasMajority) return 'the states differ, and no majority of the members has the same';
  return `${differing.join(', ')} ${differing.length === 1 ? 'differs' : 'differ'} from the majority`;
}
