/** One run from its beginning to its end, and what is to be told of it. */
import { createHash, type Hash } from 'node:crypto';
import { InvariantViolation } from '../invariants/invariant-violation.js';
import type { Command } from '../language/command.js';
import { ScriptError } from '../language/tokens.js';
import { randomPlan } from '../plan/random-plan.js';
import { runScript, type Simulation } from './simulation.js';

/** What a run has shown to be broken. */
export interface Violation {
  readonly invariant: string;
  readonly seen: string;
  /** When, in the run's time. */
  readonly atMs: number;
}

export interface RunResult {
  readonly seed: number;
  /** Undefined: all held. */
  readonly violation: Violation | undefined;
  /** Steps that the cores of actors and clients have taken. */
  readonly steps: number;
  readonly virtualMs: number;
  /** How often each thing was reached. */
  readonly coverage: Readonly<Record<string, number>>;
  /** Of all lines of the trace; only where they are wanted. */
  readonly traceHash: string | undefined;
}

export interface RunOptions {
  /** Wants the trace: is told of each line. */
  readonly onLine?: ((line: string) => void) | undefined;
  /** Wants the hash of the trace. */
  readonly hash?: boolean | undefined;
  /** Is given the run before anything happens in it. */
  readonly onBegin?: ((simulation: Simulation) => void) | undefined;
}

export function runSeed(seed: number, options: RunOptions = {}): RunResult {
  return runCommands(randomPlan(seed), seed, options);
}

/**
 * Runs a script. Whatever is thrown in it is a violation.
 * @throws ScriptError where it is no script
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
