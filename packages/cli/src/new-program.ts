/** The `conclave` command without its subcommands. */
import { Command } from 'commander';
import { ownVersion } from './own-files.js';
import { withoutSecrets } from './processes/hide-secrets.js';
import { print } from './terminal-text.js';

/** Creates a program without commands. */
export function newProgram(): Command {
  return (
    new Command('conclave')
      .description('Raft as an actor mesh over NATS')
      .version(ownVersion())
      // Options after a command belong to that command.
      .enablePositionalOptions()
      // `start` prints errors. Help after an incomplete command may quote the arguments.
      .configureOutput({
        outputError: () => undefined,
        writeErr: (text) => print(process.stderr, withoutSecrets(text)),
      })
      // Subcommands inherit this: `main` ends the process, with the code for how it was called.
      .exitOverride()
  );
}
