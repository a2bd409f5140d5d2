/** The `conclave` command with all its subcommands. */
import { Command } from 'commander';
import { registerBackup } from './commands/backup.js';
import { registerBench } from './commands/bench.js';
import { registerBootstrap } from './commands/bootstrap.js';
import { registerCheck } from './commands/check.js';
import { registerConfig } from './commands/config.js';
import { registerContext } from './commands/context.js';
import { registerCredentials } from './commands/credentials.js';
import { registerDemo } from './commands/demo.js';
import { registerDiagnose } from './commands/diagnose.js';
import { registerExporter } from './commands/exporter.js';
import { registerGroups } from './commands/groups.js';
import { registerHealth } from './commands/health.js';
import { registerHelpCommands } from './commands/help-commands.js';
import { registerKv } from './commands/kv.js';
import { registerLeader } from './commands/leader.js';
import { registerLease } from './commands/lease.js';
import { registerLock } from './commands/lock.js';
import { registerPeers } from './commands/peers.js';
import { registerPermissions } from './commands/permissions.js';
import { registerRecord } from './commands/record.js';
import { registerRestart } from './commands/restart.js';
import { registerRestore } from './commands/restore.js';
import { registerRun } from './commands/run.js';
import { registerSnapshot } from './commands/snapshot.js';
import { registerSoak } from './commands/soak.js';
import { registerStatus } from './commands/status.js';
import { registerTxn } from './commands/txn.js';
import { registerUp } from './commands/up.js';
import { registerUpgrade } from './commands/upgrade.js';
import { registerView } from './commands/view.js';
import { registerWatch } from './commands/watch.js';
import { addConfigurationOptions } from './configuration/apply.js';
import { addExamples } from './help/examples.js';
import { ownVersion } from './own-files.js';
import { withoutSecrets } from './processes/hide-secrets.js';

/** Creates the program; it does nothing before it parses arguments. */
export function createProgram(): Command {
  const program = new Command('conclave')
    .description('Raft as an actor mesh over NATS')
    .version(ownVersion())
    // Options after a command belong to that command.
    .enablePositionalOptions()
    .showHelpAfterError('(see conclave --help)')
    // The error may quote the arguments.
    .configureOutput({ writeErr: (text) => void process.stderr.write(withoutSecrets(text)) })
    // Subcommands inherit this: `main` ends the process, with the code for how it was called.
    .exitOverride();
  registerRun(program);
  registerUp(program);
  registerBootstrap(program);
  registerStatus(program);
  registerCheck(program);
  registerCredentials(program);
  registerGroups(program);
  registerUpgrade(program);
  registerPeers(program);
  registerRestart(program);
  registerLeader(program);
  registerSnapshot(program);
  registerKv(program);
  registerTxn(program);
  registerLease(program);
  registerLock(program);
  registerWatch(program);
  registerView(program);
  registerRecord(program);
  registerPermissions(program);
  registerBackup(program);
  registerRestore(program);
  registerBench(program);
  registerSoak(program);
  registerDemo(program);
  registerHealth(program);
  registerExporter(program);
  registerDiagnose(program);
  registerConfig(program);
  registerContext(program);
  registerHelpCommands(program);
  addConfigurationOptions(program);
  addExamples(program);
  return program;
}
