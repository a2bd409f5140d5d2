/** Splits a line of a script into tokens. */

/** A line that is not valid. */
export class ScriptError extends Error {
  override readonly name = 'ScriptError';
}

/** The words of a line after the first one: plain ones in order, and options `name=value`. */
export class Tokens {
  private readonly plain: readonly string[];
  private readonly options = new Map<string, string>();
  private at = 0;

  /** @param withOptions false: a word with a `=` is a plain one, for values of clients */
  constructor(words: readonly string[], withOptions = true) {
    const isOption = (word: string): boolean => withOptions && /^[a-z]+=/.test(word);
    this.plain = words.filter((word) => !isOption(word));
    for (const word of words.filter(isOption)) {
      const name = word.slice(0, word.indexOf('='));
      if (this.options.has(name)) throw new ScriptError(`${name} is given twice`);
      this.options.set(name, word.slice(name.length + 1));
    }
  }

  /** @throws ScriptError if there is none. */
  next(what: string): string {
    const word = this.plain[this.at];
    if (word === undefined) throw new ScriptError(`expected ${what}`);
    this.at += 1;
    return word;
  }

  peek(): string | undefined {
    return this.plain[this.at];
  }

  rest(): string[] {
    const rest = this.plain.slice(this.at);
    this.at = this.plain.length;
    return rest;
  }

  /** @throws ScriptError if there is none. */
  some(what: string): string[] {
    return [this.next(what), ...this.rest()];
  }

  number(what: string): number {
    return asNumber(this.next(what), what);
  }

  option(name: string): string | undefined {
    const value = this.options.get(name);
    this.options.delete(name);
    return value;
  }

  numberOption(name: string): number | undefined {
    const value = this.option(name);
    return value === undefined ? undefined : asNumber(value, name);
  }

  /** @throws ScriptError if tokens are left. */
  end(): void {
    const [left] = [...this.rest(), ...this.options.keys()];
    if (left !== undefined) throw new ScriptError(`${left} is not expected here`);
  }
}

export function asNumber(text: string, what: string): number {
  const value = Number(text);
  if (text === '' || !Number.isFinite(value) || value < 0) throw new ScriptError(`${what}: ${text} is no number`);
  return value;
}

/** @throws ScriptError unless the word is one of these. */
export function oneOf<W extends string>(word: string, all: readonly W[]): W {
  const found = all.find((one) => one === word);
  if (found === undefined) throw new ScriptError(`${word} is none of ${all.join(', ')}`);
  return found;
}

/** Returns options as words, without undefined ones. */
export function optionWords(options: Readonly<Record<string, number | string | undefined>>): string[] {
  return Object.entries(options).flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${value}`]));
}
