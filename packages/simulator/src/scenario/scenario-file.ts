/**
 * The text of a scenario: paragraphs of commands with the output that is expected of them, told as a story by
 * comments (the form is that of etcd-io/raft's `testdata`).
 *
 *     # What happens next, and why.
 *     command
 *     command
 *     ----
 *     expected output, up to the next blank line
 *
 * Owns how such a text is taken apart and put together. What a command means is not its business.
 */

/** A command with its place in the file, for who has to say where something went wrong. */
export interface CommandLine {
  readonly text: string;
  /** From 1. */
  readonly line: number;
}

/** A paragraph. Without commands it is a comment that stands alone, and has no output. */
export interface Block {
  /** Comments and commands as they stand in the file. */
  readonly source: readonly string[];
  readonly commands: readonly CommandLine[];
  readonly expected: readonly string[];
}

/** What a block without output says, so that it can be seen that it has been run. */
export const nothingToSay = 'ok';

const separator = '----';

/** Takes a text apart. @throws Error naming the line where output stands without commands. */
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

/** Puts a text together, with the output of each block that has commands, in order. */
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
 * The output of one block of a scenario. What several peers say alike becomes one line, where the first of them said
 * it: `n1 n2 n3: {n1,n2,n3} committed, entry 4`. So the output is short, and does not hang on who was a millisecond faster.
 */
export class ScenarioOutput {
  private lines: { readonly who: Set<string> | undefined; readonly text: string }[] = [];
  private readonly said = new Map<string, Set<string>>();

  /** A line that stands for itself. What is said after it is not merged with what was said before. */
  print(text: string): void {
    this.lines.push({ who: undefined, text });
    this.said.clear();
  }

  /** Somebody says something. */
  say(who: string, text: string): void {
    const known = this.said.get(text);
    if (known !== undefined && !known.has(who)) {
      known.add(who);
      return;
    }
    const line = { who: new Set([who]), text };
    this.lines.push(line);
    this.said.set(text, line.who);
  }

  /** Answers what was printed, and begins anew. */
  take(): string[] {
    const lines = this.lines.map(({ who, text }) =>
      who === undefined ? text : `${[...who].sort().join(' ')}: ${text}`,
    );
    this.lines = [];
    this.said.clear();
    return lines;
  }
}
