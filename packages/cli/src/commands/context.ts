/** `conclave context`: named settings for the connection to a group. */
import { type Command, Option } from 'commander';
import { Contexts, currentContext } from '../configuration/contexts.js';
import { isOfContext, keyOf } from '../configuration/schema.js';
import { UsageError } from '../exit-codes.js';
import { commandTree } from '../help/command-tree.js';
import { parseGroup, parsePrefix, wholeNumber, withLoginOptions } from '../options.js';
import { runAction } from '../run-action.js';

interface JsonOption {
  readonly json: boolean;
}

export function registerContext(program: Command): void {
  const group = program.command('context').description('named settings for reaching a group');
  const contexts = () => new Contexts(commandTree(program));
  registerAdd(group, contexts);
  group
    .command('use')
    .argument('[name]', 'which; nats:<name>: of the nats tool; none unless given')
    .option('--json', 'print JSON, for programs', false)
    .description('make a context the default of commands, except run, up and health')
    .action((name: string | undefined, options: JsonOption) =>
      runAction(options, async (output) => {
        contexts().use(name);
        if (output.json) output.record({ current: name ?? null });
        else output.line(name === undefined ? 'no context is used' : `${name} is used`);
      }),
    );
  group
    .command('list')
    .option('--json', 'print JSON, for programs', false)
    .description('list the contexts, including those of the nats tool')
    .action((options: JsonOption) =>
      runAction(options, async (output) => {
        const current = currentContext();
        if (output.json) return output.record({ contexts: contexts().list(), current: current ?? null });
        for (const name of contexts().list()) output.line(`${name === current ? '*' : ' '} ${name}`);
      }),
    );
  group
    .command('remove')
    .argument('<name>', 'which')
    .option('--json', 'print JSON, for programs', false)
    .description('remove a context')
    .action((name: string, options: JsonOption) =>
      runAction(options, async (output) => {
        contexts().remove(name);
        if (output.json) output.record({ removed: name });
        else output.line(`${name} is removed`);
      }),
    );
}

function registerAdd(group: Command, contexts: () => Contexts): void {
  const add = group
    .command('add')
    .argument('<name>', 'its name')
    .addOption(new Option('--group <name>', 'the replication group').argParser(parseGroup))
    .addOption(new Option('--prefix <subject>', 'the first tokens of all subjects').argParser(parsePrefix))
    .addOption(new Option('--timeout-ms <ms>', 'how long a command may take').argParser(wholeNumber(1, 86_400_000)))
    .option('--json', 'print JSON, for programs', false)
    .description('add a context, or replace it');
  withLoginOptions(add, 'NATS servers, separated by commas').action((name: string, options: JsonOption) =>
    runAction(options, async (output) => {
      const given = add.options.filter((option) => add.getOptionValueSource(option.attributeName()) === 'cli');
      const values = given
        .filter((option) => isOfContext(keyOf(option)))
        .map((option) => [keyOf(option), add.getOptionValue(option.attributeName())] as const);
      if (values.length === 0) throw new UsageError('a context needs a setting: --nats, --nats-context, --group, ...');
      contexts().add(name, Object.fromEntries(values));
      if (output.json) output.record({ added: name });
      else output.line(`${name} is added; use it with: conclave context use ${name}`);
    }),
  );
}
