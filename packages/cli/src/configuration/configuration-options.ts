/** The options of commands that read a configuration file or a context. */
import { type Command, Option } from 'commander';
import { allNodes, commandTree, isRunnable } from '../help/command-tree.js';
import { keyOf } from './schema.js';

/** Commands about the command itself. */
const withoutFile = [
  'version',
  'completion',
  'man',
  'config check',
  'context add',
  'context use',
  'context list',
  'context remove',
];
/** Commands that run peers use no context: the context that an operator uses at the moment must not change a peer. */
const withoutContext = ['run', 'up', 'health'];

/** Adds `--config` and `--context` to the commands that support them. */
export function addConfigurationOptions(program: Command): void {
  for (const { path: words, command } of allNodes(commandTree(program)).filter(isRunnable)) {
    const name = words.join(' ');
    if (name === '' || withoutFile.includes(name)) continue;
    command.addOption(
      new Option('--config <file>', 'settings, as YAML or JSON (env: CONCLAVE_CONFIG)').helpGroup('Configuration:'),
    );
    const connects = command.options.some((option) => keyOf(option) === 'nats');
    if (!connects || withoutContext.includes(name)) continue;
    command.addOption(
      new Option(
        '--context <name>',
        'a context of `conclave context`; nats:<name>: one of the nats tool (env: CONCLAVE_CONTEXT)',
      ).helpGroup('Configuration:'),
    );
  }
}
