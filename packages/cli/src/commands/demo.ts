/** `conclave demo`: see `demo/demo.ts`. */
import { type Command, Option } from 'commander';
import { type DemoOptions, demo } from '../demo/demo.js';
import { namedServersText, wholeNumber, withLoginOptions } from '../options.js';
import { withCleanUp } from '../processes/clean-up.js';
import { runAction } from '../run-action.js';
import { placementOption } from './up.js';

export function registerDemo(program: Command): void {
  const command = program
    .command('demo')
    .addOption(placementOption())
    .addOption(
      new Option('--writers <n>', 'number of concurrent writers').argParser(wholeNumber(1, 4_096)).default(256),
    )
    .addOption(
      new Option('--seconds <n>', 'how long to write before the change, and after it')
        .argParser(wholeNumber(0, 3_600))
        .default(2),
    )
    .option('--json', 'print JSON, for programs', false)
    .description('change {n1,n2,n3} to {n1,n4,n5} under load, and verify that no acknowledged write is lost');
  withLoginOptions(command, namedServersText).action((options: DemoOptions) =>
    runAction(options, (output) => withCleanUp((cleanUp) => demo(cleanUp, output, options))),
  );
}
