// Child processes, as the scripts here start them.

import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** The project's folder. */
export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');

/** @type {NodeJS.Signals[]} */
const stopSignals = ['SIGINT', 'SIGTERM', 'SIGHUP'];

/** How long a command may run after a signal. */
const MAY_END_MS = 2_000;

/**
 * Runs a command to its end with its output captured. A signal that ends this process ends the command first: it does not
 * continue in the background, where it would disturb the next run.
 *
 * @param {string} command
 * @param {string[]} args
 * @param {import("node:child_process").SpawnOptions & { onOutput?: (soFar: string) => void }} [options]
 * @returns {Promise<{ code: number, output: string }>} `code` is 127 where it could not be started
 */
export function capture(command, args, { onOutput, ...options } = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    const collect = (/** @type {Buffer} */ chunk) => {
      output += chunk;
      onOutput?.(output);
    };
    child.stdout?.on('data', collect);
    child.stderr?.on('data', collect);
    /** @type {NodeJS.Signals | undefined} */
    let received;
    /** @type {NodeJS.Timeout | undefined} */
    let killing;
    const onSignal = (/** @type {NodeJS.Signals} */ signal) => {
      received ??= signal;
      // `npm ci` may continue for half a minute. The next one starts over.
      killing ??= setTimeout(() => child.kill('SIGKILL'), MAY_END_MS);
      // Ctrl-C in a terminal reaches the child, too.
      if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal);
    };
    for (const signal of stopSignals) process.on(signal, onSignal);
    const settle = (/** @type {{ code: number, output: string }} */ result) => {
      for (const signal of stopSignals) process.off(signal, onSignal);
      clearTimeout(killing);
      if (received === undefined) resolve(result);
      else process.kill(process.pid, received);
    };
    child.on('error', (error) => settle({ code: 127, output: error.message }));
    child.on('close', (code, signal) => settle({ code: exitCode(code, signal), output }));
  });
}

/**
 * Runs a command in this terminal: its output is ours, signals are passed on to it.
 *
 * @param {string} command
 * @param {string[]} args
 * @param {NodeJS.ProcessEnv} [env] what to add to the environment
 * @returns {Promise<number>} its exit code
 */
export function hand(command, args, env = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd: root,
      env: { ...process.env, ...env },
      stdio: 'inherit',
    });
    const passOn = (/** @type {NodeJS.Signals} */ signal) => {
      // Ctrl-C in a terminal reaches the whole process group already; a second one would cut
      // the child's own way of stopping short.
      if (signal === 'SIGINT' && process.stdin.isTTY) return;
      child.kill(signal);
    };
    /** @type {NodeJS.Signals[]} */
    const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
    for (const signal of signals) process.on(signal, passOn);
    const settle = () => {
      for (const signal of signals) process.off(signal, passOn);
    };
    child.on('error', (error) => {
      settle();
      reject(error);
    });
    child.on('close', (code, signal) => {
      settle();
      resolve(exitCode(code, signal));
    });
  });
}

/**
 * Runs a script's main function; a failure is one message, not a stack.
 *
 * @param {() => Promise<number>} main returns the exit code
 */
export async function runMain(main) {
  try {
    process.exitCode = await main();
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}

/**
 * @param {number | null} code
 * @param {NodeJS.Signals | null} signal
 */
function exitCode(code, signal) {
  if (code !== null) return code;
  return signal === null ? 1 : 128 + constants.signals[signal];
}
