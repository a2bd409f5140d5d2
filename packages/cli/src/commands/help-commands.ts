/** `conclave version`, `completion` and `man`: information about the command itself. */
import { supportedLevels } from '@conclave/protocol';
import { Argument, type Command } from 'commander';
import { commandTree } from '../help/command-tree.js';
import { bashScript } from '../help/completion/bash.js';
import { placesOf } from '../help/completion/candidates.js';
import { fishScript } from '../help/completion/fish.js';
import { zshScript } from '../help/completion/zsh.js';
import { manPage } from '../help/man-page.js';
import { ownVersion } from '../own-files.js';
import { runAction } from '../run-action.js';

const scripts = { bash: bashScript, zsh: zshScript, fish: fishScript } as const;

export function registerHelpCommands(program: Command): void {
  program
    .command('version')
    .option('--json', 'print JSON, for programs', false)
    .description('print the version of this command, its feature levels, and the version of Node.js')
    .action((options: { json: boolean }) =>
      runAction(options, async (output) => {
        const { lowest, highest } = supportedLevels;
        const found = { version: ownVersion(), feature_levels: [lowest, highest], node: process.versions.node };
        if (output.json) output.record({ ...found, platform: process.platform, arch: process.arch });
        else output.line(`conclave ${found.version} (feature levels ${lowest} to ${highest}, Node.js ${found.node})`);
      }),
    );
  program
    .command('completion')
    .addArgument(new Argument('<shell>', 'which shell').choices(Object.keys(scripts)))
    .description('print the script that completes this command in a shell')
    .action((shell: keyof typeof scripts) => {
      process.stdout.write(scripts[shell](placesOf(commandTree(program))));
    });
  program
    .command('man')
    .description('print the man page of this command')
    .action(() => {
      process.stdout.write(manPage(commandTree(program), ownVersion()));
    });
}
