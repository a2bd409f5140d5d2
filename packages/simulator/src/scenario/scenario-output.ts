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
