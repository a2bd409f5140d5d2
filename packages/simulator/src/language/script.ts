/** A list of commands as text: one per line; `#` begins a comment, empty lines are ignored. */
import type { Command } from './command.js';
import { formatCommand } from './format-command.js';
import { parseCommand } from './parse-command.js';
import { scenarioParsers } from './parse-scenario.js';
import type { ScenarioCommand } from './scenario-command.js';
import { ScriptError } from './tokens.js';

/** @throws ScriptError that names the line */
export function parseScript(text: string): Command[] {
  return text.split('\n').flatMap((line, at) => {
    const command = line.replace(/(^|\s)#.*$/, '').trim();
    if (command === '') return [];
    try {
      const parsed = parseCommand(command);
      if (isOfScripts(parsed)) return [parsed];
      throw new ScriptError('only scenarios have this command');
    } catch (error) {
      if (error instanceof ScriptError) throw new ScriptError(`line ${at + 1}, "${command}": ${error.message}`);
      throw error;
    }
  });
}

export function formatScript(commands: readonly Command[]): string {
  return commands.map((command) => `${formatCommand(command)}\n`).join('');
}

function isOfScripts(command: ScenarioCommand): command is Command {
  return command.type !== 'plain' && !Object.hasOwn(scenarioParsers, command.type);
}
