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
