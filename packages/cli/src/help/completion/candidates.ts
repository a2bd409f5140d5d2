/** What a shell can complete at each position of a command line. */
import { allNodes, type CommandNode, takesFile } from '../command-tree.js';

/** A word that can be typed, and what it means. */
export interface Candidate {
  readonly word: string;
  readonly meaning: string;
}

/** An option: its forms (`--peer`), and what may follow it. */
export interface OptionCandidate {
  readonly words: readonly string[];
  readonly meaning: string;
  /** Whether it has a value. */
  readonly takesValue: boolean;
  readonly choices: readonly string[];
  readonly isFile: boolean;
}

/** What may follow the words of a command. */
export interface Place {
  /** For example `kv put`; empty: only `conclave`. */
  readonly path: string;
  readonly commands: readonly Candidate[];
  readonly options: readonly OptionCandidate[];
  /** The values of the first arguments that have choices, such as those of `peers read-only`. */
  readonly choices: readonly string[];
  /** Whether an argument is a file. */
  readonly isFile: boolean;
}

/** Returns all positions, those of the program first. */
export function placesOf(tree: CommandNode): readonly Place[] {
  return allNodes(tree).map(({ path, options, arguments: args, children }) => ({
    path: path.join(' '),
    commands: children.map(({ command }) => ({ word: command.name(), meaning: firstLine(command.description()) })),
    options: options.map((option) => ({
      words: [option.long, option.short].filter((word) => word !== undefined && word !== null),
      meaning: firstLine(option.description),
      takesValue: option.required || option.optional,
      choices: option.argChoices ?? [],
      isFile: takesFile(option.flags),
    })),
    choices: args.flatMap(({ argChoices }) => argChoices ?? []),
    isFile: args.some((argument) => takesFile(argument.name())),
  }));
}

/** Returns the beginning of a text, up to the first end of a clause, in one line. */
function firstLine(text: string): string {
  const [first = ''] = text.split(/[;:.](?:\s|$)/, 1);
  return first.replaceAll(/\s+/g, ' ').trim();
}

/** Quotes a text as one word of a POSIX shell. */
export function shellQuoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
