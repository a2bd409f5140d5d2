/** The commands of the parser, in the form that the help, the man page, completion and configuration files use. */
import type { Argument, Command, Option } from 'commander';

/** A command with all its subcommands, without hidden ones. */
export interface CommandNode {
  /** The words after `conclave`; empty: the program itself. */
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

/** Returns the node and all nodes below it, parents first. */
export function allNodes(node: CommandNode): readonly CommandNode[] {
  return [node, ...node.children.flatMap(allNodes)];
}

/** Whether a command does something by itself; otherwise it only groups other commands. */
export function isRunnable({ command, children }: CommandNode): boolean {
  return children.length === 0 || command.registeredArguments.length > 0;
}

/** Returns the kind of value of an option or argument, from its name such as `<file>`, for completion. */
export function takesFile(name: string): boolean {
  return /\b(file|folder|module)\b/.test(name);
}
