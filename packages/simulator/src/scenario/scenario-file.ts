/**
 * The text of a scenario: paragraphs of commands with their expected output, and comments that tell a story (the form is that of
 * etcd-io/raft's `testdata`).
 *
 *     # What happens next, and why.
 *     command
 *     command
 *     ----
 *     expected output, up to the next blank line
 *
 * Owns the format of such a text, not the meaning of commands.
 */

/** A command with its line in the file, for error messages. */
export interface CommandLine {
  readonly text: string;
  /** From 1. */
  readonly line: number;
}

/** A paragraph. Without commands it is only a comment, and has no output. */
export interface Block {
  /** Comments and commands as in the file. */
  readonly source: readonly string[];
  readonly commands: readonly CommandLine[];
  readonly expected: readonly string[];
}

/** The output of a block that printed nothing, to show that it was run. */
export const emptyOutput = 'ok';

const separator = '----';

/** Parses a text. @throws Error that names a line with output but without commands. */
export function parseScenario(text: string): Block[] {
  const blocks: Block[] = [];
  const lines = text.split('\n');
  let at = 0;
  while (at < lines.length) {
    const begin = at;
    while (at < lines.length && lines[at]?.trim() !== '') at += 1;
    if (at > begin) blocks.push(blockOf(lines.slice(begin, at), begin + 1));
    at += 1;
  }
  return blocks;
}

function blockOf(lines: readonly string[], firstLine: number): Block {
  const end = lines.indexOf(separator);
  const source = end < 0 ? lines : lines.slice(0, end);
  const commands = source
    .map((text, place) => ({ text: text.trim(), line: firstLine + place }))
    .filter(({ text }) => !text.startsWith('#'));
  if (end >= 0 && commands.length === 0) throw new Error(`line ${firstLine + end}: output without commands`);
  return { source, commands, expected: end < 0 ? [] : lines.slice(end + 1) };
}

/** Formats a text, with the output of each block that has commands, in order. */
export function formatScenario(blocks: readonly Block[], outputs: readonly (readonly string[])[]): string {
  const withOutput = outputs.values();
  const paragraphs = blocks.map(({ source, commands }) => {
    if (commands.length === 0) return source.join('\n');
    const output = withOutput.next().value ?? [];
    return [...source, separator, ...output].join('\n');
  });
  return `${paragraphs.join('\n\n')}\n`;
}

/** The first sentence or line of the comment at the head: what the scenario shows, with the promises it keeps. */
export function headOf(text: string): string {
  const [first = ''] = text.split('\n');
  return first.replace(/^#\s*/, '').trim();
}

/**
 * The output of one block of a scenario. Lines that several peers have in common are merged into the line of the first:
 * `n1 n2 n3: {n1,n2,n3} committed, entry 4`. So the output is short, and does not depend on which peer was a millisecond faster.
 */
export class ScenarioOutput {
  private lines: { readonly who: Set<string> | undefined; readonly text: string }[] = [];
  private readonly linesByText = new Map<string, Set<string>>();

  /** Adds a line that is not merged; nor are later lines merged with earlier ones. */
  print(text: string): void {
    this.lines.push({ who: undefined, text });
    this.linesByText.clear();
  }

  /** Adds a line of a peer, which is merged with equal ones of others. */
  printFor(who: string, text: string): void {
    const known = this.linesByText.get(text);
    if (known !== undefined && !known.has(who)) {
      known.add(who);
      return;
    }
    const line = { who: new Set([who]), text };
    this.lines.push(line);
    this.linesByText.set(text, line.who);
  }

  /** Returns the lines, and clears the output. */
  flush(): string[] {
    const lines = this.lines.map(({ who, text }) =>
      who === undefined ? text : `${[...who].sort().join(' ')}: ${text}`,
    );
    this.lines = [];
    this.linesByText.clear();
    return lines;
  }
}
