/** The command `conclave health`. */
import { actorKinds, type PeerId } from '@conclave/protocol';
import type { Command } from 'commander';
import { UsageError } from '../exit-codes.js';
import { checkHealth, reportHealth } from '../health-check.js';
import { loginLayers } from '../login.js';
import { wholeNumber } from '../options.js';
import { type HostedOptions, withHostedOptions } from '../run/run-options.js';

interface HealthOptions extends Omit<HostedOptions, 'peer'> {
  readonly peer?: PeerId;
  readonly timeoutMs: number;
  readonly allGroups: boolean;
  readonly allPeers: boolean;
  readonly json: boolean;
}

export function registerHealth(program: Command): void {
  const command = program.command('health').description('ask actors for their health; exits with 0 if all are healthy');
  withHostedOptions(command, false)
    .option('--timeout-ms <ms>', 'how long to wait for the replies', wholeNumber(1, 60_000), 2000)
    .option('--all-groups', 'include the groups that were created while the processes ran', false)
    .option('--all-peers', 'ask all members of each group instead of one peer', false)
    .option('--json', 'print one JSON object', false)
    .action(async (options: HealthOptions) => {
      const { peer = '', allPeers, allGroups } = options;
      if (peer === '' && !allPeers) throw new UsageError('name a peer with --peer, or ask all with --all-peers');
      if (peer === '' && allGroups) throw new UsageError('--all-groups needs --peer: the peer whose groups are meant');
      // As in `readQuery`: the variable `CONCLAVE_ACTORS` of a container applies only to the container's own peer.
      const isOwnProcess = !allPeers && ['env', 'config'].includes(command.getOptionValueSource('peer') ?? '');
      const isNarrowed = isOwnProcess || command.getOptionValueSource('actors') === 'cli';
      const actors = isNarrowed ? options.actors : actorKinds;
      reportHealth(await checkHealth({ ...options, peer, actors, login: loginLayers(options) }), options.json);
    });
}
