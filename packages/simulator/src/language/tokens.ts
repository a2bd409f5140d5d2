/** Splits a line of a script into tokens. */

/** A line that is not valid. */
export class ScriptError extends Error {
  override readonly name = 'ScriptError';
}

/** The words of a line after the first one: plain ones in order, and options `name=value`. Each is consumed once. */
export class Tokens {
  private left: string[];

  /** @param withOptions false: a word with a `=` is a plain one, for values of clients */
  constructor(
    words: readonly string[],
    private readonly withOptions = true,
  ) {
    this.left = [...words];
    const names = words.filter((word) => this.isOption(word)).map(nameOf);
    const twice = names.find((name, at) => names.indexOf(name) < at);
    if (twice !== undefined) throw new ScriptError(`${twice} is given twice`);
  }

  /** Returns what `parse` makes of all of these words. @throws ScriptError if it leaves some */
  static parseAll<C>(words: readonly string[], parse: (tokens: Tokens) => C): C {
    const tokens = new Tokens(words);
    const parsed = parse(tokens);
    tokens.end();
    return parsed;
  }

  private isOption(word: string): boolean {
    return this.withOptions && /^[a-z]+=/.test(word);
  }

  /** @throws ScriptError if there is none. */
  next(what: string): string {
    const at = this.left.findIndex((word) => !this.isOption(word));
    const [word] = at < 0 ? [] : this.left.splice(at, 1);
    if (word === undefined) throw new ScriptError(`expected ${what}`);
    return word;
  }

  peek(): string | undefined {
    return this.left.find((word) => !this.isOption(word));
  }

  /** Whether this is the next word; if so, it is consumed. */
  has(word: string): boolean {
    return this.peek() === word && this.next(word) === word;
  }

  /** Returns the word after this one; undefined: this one is not the next. */
  after(word: string): string | undefined {
    return this.has(word) ? this.next(`what is ${word}`) : undefined;
  }

  /** Returns all plain words that are left. */
  rest(): string[] {
    const rest = this.left.filter((word) => !this.isOption(word));
    this.left = this.left.filter((word) => this.isOption(word));
    return rest;
  }

  /** Returns all words that are left, in order and as they are. */
  all(): string[] {
    return this.left.splice(0);
  }

  /** @throws ScriptError if there is none. */
  some(what: string): string[] {
    return [this.next(what), ...this.rest()];
  }

  number(what: string): number {
    return asNumber(this.next(what), what);
  }

  option(name: string): string | undefined {
    const at = this.left.findIndex((word) => this.isOption(word) && nameOf(word) === name);
    const [word] = at < 0 ? [] : this.left.splice(at, 1);
    return word?.slice(name.length + 1);
  }

  numberOption(name: string): number | undefined {
    const value = this.option(name);
    return value === undefined ? undefined : asNumber(value, name);
  }

  numberOptions<N extends string>(names: readonly N[]): Partial<Record<N, number | undefined>> {
    return Object.fromEntries(names.map((name) => [name, this.numberOption(name)])) as Partial<Record<N, number>>;
  }

  /** @throws ScriptError if words are left. */
  end(): void {
    const [left] = [...this.rest(), ...this.all().map(nameOf)];
    if (left !== undefined) throw new ScriptError(`${left} is not expected here`);
  }
}

function nameOf(option: string): string {
  return option.slice(0, option.indexOf('='));
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

/** Returns options as tokens, without undefined ones. */
export function optionTokens(options: Readonly<Record<string, number | string | undefined>>): string[] {
  return Object.entries(options).flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${value}`]));
}

/** Returns the options without undefined ones, so that a formatted command is parsed to an equal one. */
export function given<T extends object>(options: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}
