/** `conclave upgrade`: prints the group's feature level, and the peers that prevent a higher one; raises it. */
import type { UpgradeReply } from '@conclave/protocol';
import { type Command, Option } from 'commander';
import { withAdminClient } from '../connection.js';
import { type CommonOptions, withCommonOptions } from '../options.js';
import { runAction } from '../run-action.js';
import { duration, levelsText } from '../views/format.js';
import { facts, table } from '../views/tables.js';

const defaultTimeoutMs = 10_000;

interface UpgradeOptions extends CommonOptions {
  readonly raise?: boolean;
}

export function registerUpgrade(program: Command): void {
  withCommonOptions(
    program
      .command('upgrade')
      .description('print the feature level of the group, and which peers prevent a higher one')
      .addOption(new Option('--raise', 'raise it now; builds that do not support it cannot be used afterwards')),
  ).action((options: UpgradeOptions) =>
    runAction(options, (output) =>
      withAdminClient(options, async (adminClient) => {
        const timeoutMs = options.timeoutMs ?? defaultTimeoutMs;
        const reply = await adminClient.admin('upgrade', { raise: options.raise === true }, { timeoutMs });
        if (output.json) output.record(reply);
        else output.line(upgradeText(reply));
      }),
    ),
  );
}

/** Prints the report of `conclave upgrade`. */
export function upgradeText(reply: UpgradeReply): string {
  const { level, peers } = reply;
  return [
    facts([
      ['feature level', reply.raised ? `${level}, raised now` : String(level)],
      ['next', nextText(reply)],
    ]),
    table(
      ['peer', 'version', 'levels', 'holds back'],
      peers.map(({ peer_id: peerId, version, levels, holds_back }) => [
        peerId,
        version === '' ? '-' : version,
        levels === null ? '-' : levelsText(levels),
        holds_back === '' ? '-' : holds_back,
      ]),
    ),
  ].join('\n\n');
}

function nextText({ level, highest, peers, obstacle, raises_in_ms }: UpgradeReply): string {
  if (highest <= level) return `the leader supports no higher one than ${highest}`;
  const holding = peers.filter(({ holds_back }) => holds_back !== '').map(({ peer_id: peerId }) => peerId);
  if (holding.length > 0) return `${highest}, once ${holding.join(', ')} can`;
  if (obstacle !== '') return `${highest}, but not now: ${obstacle}`;
  if (raises_in_ms === null) return `${highest}, with conclave upgrade --raise`;
  return `${highest}, in ${duration(raises_in_ms)} by itself, or at once with conclave upgrade --raise`;
}
