/** `conclave config`: configuration files. */
import type { Command } from 'commander';
import { readConfiguration, replacedBy } from '../configuration/apply.js';
import type { Values } from '../configuration/schema.js';
import { UsageError } from '../exit-codes.js';
import { serversWithoutSecrets } from '../processes/hide-secrets.js';
import { runAction } from '../run-action.js';

export function registerConfig(program: Command): void {
  const config = program.command('config').description('configuration files');
  config
    .command('check')
    .argument('[file]', 'the configuration file; CONCLAVE_CONFIG unless given')
    .option('--json', 'print JSON, for programs', false)
    .description('check a configuration file, and print its settings and the variables that replace them')
    .action((given: string | undefined, options: { json: boolean }) =>
      runAction(options, async (output) => {
        const file = given ?? process.env.CONCLAVE_CONFIG;
        if (file === undefined) throw new UsageError('name a file, or set CONCLAVE_CONFIG');
        const configuration = readConfiguration(program, file);
        const all = withoutLogins(configuration.all);
        const commands = Object.fromEntries(
          Object.entries(configuration.commands).map(([name, values]) => [name, withoutLogins(values)]),
        );
        const replaced = replacedBy(program, all, process.env);
        if (output.json)
          return output.record({ file, settings: all, commands, replaced: Object.fromEntries(replaced) });
        for (const [key, value] of Object.entries(all)) {
          const variable = replaced.get(key);
          output.line(`${key}: ${String(value)}${variable === undefined ? '' : `   (replaced by ${variable})`}`);
        }
        for (const [name, values] of Object.entries(commands)) {
          for (const [key, value] of Object.entries(values)) output.line(`${name}: ${key}: ${String(value)}`);
        }
        output.line(`${file} is correct`);
      }),
    );
}

/** The settings, without the secrets that URLs of servers contain. */
function withoutLogins(values: Values): Values {
  const { nats } = values;
  if (nats === undefined) return values;
  const shown = Array.isArray(nats) ? nats.map(String).map(serversWithoutSecrets) : serversWithoutSecrets(String(nats));
  return { ...values, nats: shown };
}
