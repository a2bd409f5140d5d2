import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { failureScript } from '../src/command/report.js';
import { formatScript, parseScript, randomPlan, runCommands, runSeed, shrink } from '../src/index.js';
import { withElectionsForFree } from './support/broken-core.js';

const timeout = 120_000;

describe('the same seed makes the same run', { timeout }, () => {
  test('byte for byte', () => {
    const lines = [1, 2].map(() => {
      const trace: string[] = [];
      runSeed(11, { onLine: (line) => trace.push(line) });
      return trace.join('\n');
    });
    expect(lines[0]).toBe(lines[1]);
    expect(lines[0]?.split('\n').length).toBeGreaterThan(1000);
  });

  test('also in another process', async () => {
    const command = new URL('../dist/command/simulate.js', import.meta.url).pathname;
    const { stdout } = await promisify(execFile)(process.execPath, [command, '--seed', '12', '--json']);
    const there = JSON.parse(stdout) as { traceHash: string; coverage: unknown };
    const here = runSeed(12, { hash: true });
    expect(there.traceHash).toBe(here.traceHash);
    expect(there.coverage).toEqual(here.coverage);
  });

  test('and another seed makes another run', () => {
    expect(runSeed(13, { hash: true }).traceHash).not.toBe(runSeed(14, { hash: true }).traceHash);
  });

  test('also if its plan was formatted and parsed', () => {
    const script = parseScript(formatScript(randomPlan(11)));
    expect(runCommands(script, 11, { hash: true }).traceHash).toBe(runSeed(11, { hash: true }).traceHash);
  });
});

describe('a failure', { timeout }, () => {
  test('is shrunk to the few commands that it needs, and its script repeats it', () => {
    withElectionsForFree(() => {
      const script = randomPlan(1);
      const { violation } = runCommands(script, 1);
      if (violation === undefined) throw new Error('it is not noticed');
      const { invariant } = violation;
      const shrunk = shrink(script, 1, invariant);
      expect(shrunk.isMinimal).toBe(true);
      expect(shrunk.script.length).toBeLessThan(12);
      const text = failureScript(
        { seed: 1, commit: 'c0ffee', violation, commands: script.length, shrunk },
        'as it was',
      );
      expect(text).toContain(`# seed 1, commit c0ffee\n# broken: ${invariant}\n`);
      expect(runCommands(parseScript(text), 1).violation?.invariant).toBe(invariant);
    });
  });

  test('belongs to the broken core of the run, not to the real cores', () => {
    expect(runSeed(1).violation).toBeUndefined();
  });
});

describe('a single seed', { timeout }, () => {
  test('does not fail because of missing coverage', async () => {
    const command = new URL('../dist/command/simulate.js', import.meta.url).pathname;
    const { stdout } = await promisify(execFile)(process.execPath, [command, '--seed', '12']);
    const [speed, threads, trace] = stdout.trimEnd().split('\n').slice(-3);
    expect(speed).toMatch(/^1 seed, \d+ events in .* events a second, \d+ seeds a minute$/);
    expect(threads).toMatch(/^on each thread: \d+ events a second, \d+ events in the time of a calibration loop$/);
    expect(trace).toMatch(/^trace [0-9a-f]{64}$/);
  });

  test('fails for missing coverage when it is run as a set', async () => {
    const command = new URL('../dist/command/simulate.js', import.meta.url).pathname;
    const run = promisify(execFile)(process.execPath, [command, '--from', '12', '--seeds', '1', '--json']);
    await expect(run).rejects.toMatchObject({ code: 1, stdout: expect.stringContaining('"failed":[],"missing":["') });
  });
});
