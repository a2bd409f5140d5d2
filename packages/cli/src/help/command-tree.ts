/** The commands as the parser knows them, in the shape that the help, the man page, completion and configuration files read. */
import type { Argument, Command, Option } from 'commander';

/** A command and all below it, without hidden ones. */
export interface CommandNode {
  /** Its words behind `conclave`; empty: the program itself. */
  readonly path: readonly string[];
  readonly command: Command;
  readonly options: readonly Option[];
  readonly arguments: readonly Argument[];
  readonly children: readonly CommandNode[];
}

/** Reads the tree of a program. */
export function commandTree(command: Command, path: readonly string[] = []): CommandNode {
  const help = command.createHelp();
  const children = help
    .visibleCommands(command)
    .filter((child) => child.name() !== 'help')
    .map((child) => commandTree(child, [...path, child.name()]));
  return {
    path,
    command,
    options: help.visibleOptions(command),
    arguments: [...command.registeredArguments],
    children,
  };
}

/** The node and all below it, parents first. */
export function allNodes(node: CommandNode): readonly CommandNode[] {
  return [node, ...node.children.flatMap(allNodes)];
}

/** Whether a command does something by itself, and is no mere group of commands. */
export function isRunnable({ command, children }: CommandNode): boolean {
  return children.length === 0 || command.registeredArguments.length > 0;
}

/** `<file>` of an option's or argument's name: what kind of value it takes, for completion. */
export function takesFile(name: string): boolean {
  return /\b(file|folder|module)\b/.test(name);
}
