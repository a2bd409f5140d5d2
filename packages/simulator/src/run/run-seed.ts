/** One run from beginning to end, and its result. */
import { createHash, type Hash } from 'node:crypto';
import { InvariantViolation } from '../invariants/invariant-violation.js';
import type { Command } from '../language/command.js';
import { ScriptError } from '../language/tokens.js';
import { randomPlan } from '../plan/random-plan.js';
import { runScript, type Simulation } from './simulation.js';

/** The rule that a run has broken. */
export interface Violation {
  readonly invariant: string;
  readonly seen: string;
  /** When the rule was broken, in the virtual time of the run. */
  readonly atMs: number;
}

export interface RunResult {
  readonly seed: number;
  /** Undefined: all invariants held. */
  readonly violation: Violation | undefined;
  /** Steps that the cores of actors and clients have taken. */
  readonly steps: number;
  readonly virtualMs: number;
  /** The coverage: how often each counted event happened. */
  readonly coverage: Readonly<Record<string, number>>;
  /** The hash of all lines of the trace; only if it was requested. */
  readonly traceHash: string | undefined;
}

export interface RunOptions {
  /** Called with each line of the trace. */
  readonly onLine?: ((line: string) => void) | undefined;
  /** Whether to compute the hash of the trace. */
  readonly hash?: boolean | undefined;
  /** Called with the run before anything happens in it. */
  readonly onBegin?: ((simulation: Simulation) => void) | undefined;
}

export function runSeed(seed: number, options: RunOptions = {}): RunResult {
  return runCommands(randomPlan(seed), seed, options);
}

/**
 * Runs a script. Every error in it is a violation.
 * @throws ScriptError if it is not a valid script
 */
export function runCommands(script: readonly Command[], seed: number, options: RunOptions = {}): RunResult {
  const hash = options.hash === true ? createHash('sha256') : undefined;
  let simulation: Simulation | undefined;
  let violation: Violation | undefined;
  try {
    runScript(script, seed, (begun) => {
      simulation = begun;
      begun.mesh.trace = tracer(hash, options.onLine);
      options.onBegin?.(begun);
    });
  } catch (error) {
    if (error instanceof ScriptError) throw error;
    violation = violationOf(error, simulation?.mesh.nowMs ?? 0);
  }
  const { steps = 0, nowMs = 0, coverage } = simulation?.mesh ?? {};
  return {
    seed,
    violation,
    steps,
    virtualMs: nowMs,
    coverage: coverage?.toJSON() ?? {},
    traceHash: hash?.digest('hex'),
  };
}

function tracer(
  hash: Hash | undefined,
  onLine: ((line: string) => void) | undefined,
): ((line: string) => void) | undefined {
  if (hash === undefined) return onLine;
  return (line) => {
    hash.update(line).update('\n');
    onLine?.(line);
  };
}

function violationOf(error: unknown, atMs: number): Violation {
  if (error instanceof InvariantViolation) return { invariant: error.invariant, seen: error.seen, atMs };
  const { name, stack, message } = error as Error;
  return { invariant: `error ${name}`, seen: stack ?? message, atMs };
}
