/** Shortens the script of a failed run as far as possible by deleting commands (Zeller's ddmin). */
import type { Command } from '../language/command.js';
import { runCommands } from './run-seed.js';

export interface Shrunk {
  readonly script: readonly Command[];
  /** How many shorter scripts were tried. */
  readonly tries: number;
  /** False: a limit was reached, and it might be possible to shorten it more. */
  readonly isMinimal: boolean;
}

export interface ShrinkBounds {
  readonly tries: number;
  /** The sum of the steps of all runs that are tried. */
  readonly steps: number;
}

const usualBounds: ShrinkBounds = { tries: 600, steps: 6_000_000 };

/**
 * @param script a script that breaks the invariant with this seed
 * @returns a shorter part of the script that breaks the same invariant
 */
export function shrink(
  script: readonly Command[],
  seed: number,
  invariant: string,
  bounds: ShrinkBounds = usualBounds,
): Shrunk {
  return new Shrinking(script, seed, invariant, bounds).run();
}

class Shrinking {
  private tries = 0;
  private steps = 0;
  /** The command `peers`, which creates the mesh: it is never deleted. */
  private readonly first: readonly Command[];
  private rest: readonly Command[];

  constructor(
    script: readonly Command[],
    private readonly seed: number,
    private readonly invariant: string,
    private readonly bounds: ShrinkBounds,
  ) {
    this.first = script.slice(0, 1);
    this.rest = script.slice(1);
  }

  run(): Shrunk {
    let parts = 2;
    while (this.rest.length > 0 && !this.isExhausted) {
      const size = Math.ceil(this.rest.length / parts);
      if (this.deleteSome(size)) parts = Math.max(parts - 1, 2);
      else if (size === 1) break;
      else parts = Math.min(parts * 2, this.rest.length);
    }
    this.joinRuns();
    return { script: [...this.first, ...this.rest], tries: this.tries, isMinimal: !this.isExhausted };
  }

  private get isExhausted(): boolean {
    return this.tries >= this.bounds.tries || this.steps >= this.bounds.steps;
  }

  /** Tries to delete each piece of `size` commands, from the end: deleting the last ones changes least of the run before them. */
  private deleteSome(size: number): boolean {
    let deleted = false;
    for (let end = this.rest.length; end > 0 && !this.isExhausted; end -= size) {
      const without = [...this.rest.slice(0, Math.max(end - size, 0)), ...this.rest.slice(end)];
      if (!this.fails(without)) continue;
      this.rest = without;
      deleted = true;
    }
    return deleted;
  }

  /** Replaces consecutive `run` commands by one. */
  private joinRuns(): void {
    const joined: Command[] = [];
    for (const command of this.rest) {
      const before = joined.at(-1);
      if (command.type === 'run' && before?.type === 'run') {
        joined[joined.length - 1] = { type: 'run', ms: Math.round((before.ms + command.ms) * 1000) / 1000 };
      } else joined.push(command);
    }
    if (joined.length < this.rest.length && this.fails(joined)) this.rest = joined;
  }

  private fails(rest: readonly Command[]): boolean {
    this.tries += 1;
    const { violation, steps } = runCommands([...this.first, ...rest], this.seed);
    this.steps += steps;
    return violation?.invariant === this.invariant;
  }
}
