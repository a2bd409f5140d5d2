/** What is told of a run that failed: enough to repeat it, and a script that a person can read. */
import type { Command } from '../script/command.js';
import { formatScript } from '../script/script.js';
import type { Violation } from './run-seed.js';
import type { Shrunk } from './shrink.js';

export interface Failure {
  readonly seed: number;
  /** Of the sources, by git; `unknown` where that cannot be told. */
  readonly commit: string;
  readonly violation: Violation;
  readonly commands: number;
  readonly shrunk: Shrunk;
}

/** As a script with comments, which replays it. */
export function failureScript(failure: Failure, replay: string): string {
  const { seed, commit, violation, commands, shrunk } = failure;
  const comments = [
    `seed ${seed}, commit ${commit}`,
    `broken: ${violation.invariant}`,
    ...violation.seen.split('\n'),
    `${shrunk.script.length} of ${commands} commands${shrunk.isMinimal ? '' : ' (given up; it might go shorter)'}`,
    `replay: ${replay}`,
  ];
  return `${comments.map((comment) => `# ${comment}\n`).join('')}\n${formatScript(shrunk.script)}`;
}

/** How many commands a random run had, and what is left of them. */
export function failureOf(
  seed: number,
  commit: string,
  violation: Violation,
  script: readonly Command[],
  shrunk: Shrunk,
): Failure {
  return { seed, commit, violation, commands: script.length, shrunk };
}
