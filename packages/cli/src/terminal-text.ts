/** Text from other users on a terminal: keys, values, names and errors may contain control sequences. */

/** A control character; an escape with the rest of a style. */
const control = /\p{Cc}(?:\[\d+m)?/gu;

/** Returns the text without control sequences if it goes to a terminal. For other outputs the text is unchanged. */
export function terminalText(text: string, stream: NodeJS.WriteStream): string {
  if (stream.isTTY !== true) return text;
  return text.replaceAll(control, (found) => {
    const isHarmless = found[0] === '\n' || found[0] === '\t' || (found[0] === '\u001b' && found.length > 1);
    return isHarmless ? found : `?${found.slice(1)}`;
  });
}

/** Prints text as it is, but for a terminal without control sequences. */
export function print(stream: NodeJS.WriteStream, text: string): void {
  stream.write(terminalText(text, stream));
}

/** Prints a line on standard error that begins with the name of the command. */
export function printProblem(text: string): void {
  print(process.stderr, `conclave: ${text}\n`);
}
