/**
 * An operator of a compose project who has docs/operations.md and the output of the commands, and nothing else: what is
 * run here has to be in that page, as it is written there.
 */
import { readFileSync } from 'node:fs';
import { expect } from 'vitest';
import type { ComposeProject, Ended } from './docker.js';
import { until } from './until.js';

const page = readFileSync(new URL('../../docs/operations.md', import.meta.url), 'utf8');
const actors = ['node', 'log-store', 'replicator', 'ballot-box'];

export class Operator {
  constructor(
    private readonly project: ComposeProject,
    private readonly withinMs: number,
  ) {}

  /** Runs `conclave` in a container, as the page's alias does. @param as how the page has it, where its names are others */
  conclave(words: string, as = words): Promise<Ended> {
    expectInPage(`npx conclave ${as}`);
    expectInPage('docker compose run --rm operator');
    return this.project.composeToEnd(['run', '--rm', '-T', 'operator', ...words.split(' ')]);
  }

  /** Runs docker compose. @throws Error with what it printed, where it fails */
  async compose(words: string, as = words, env: Record<string, string> = {}): Promise<void> {
    expectInPage(`docker compose ${as}`);
    const { code, out, error } = await this.project.composeToEnd(words.split(' '), env);
    if (code !== 0) throw new Error(`docker compose ${words}:\n${out}${error}`);
  }

  stop(peer: string): Promise<void> {
    return this.compose(`stop ${services(peer)}`, `stop ${services('n2')}`);
  }

  start(peer: string, env: Record<string, string> = {}): Promise<void> {
    return this.compose(`up -d --no-deps ${services(peer)}`, `up -d --no-deps ${services('n2')}`, env);
  }

  /** Takes a peer's volume away. */
  async deleteData(peer: string): Promise<void> {
    await this.stop(peer);
    await this.compose(`rm -f ${peer}-log-store`, 'rm -f n2-log-store');
    expectInPage('docker volume rm <project>_n2-log');
    const { code, error } = await this.project.runToEnd('docker', ['volume', 'rm', `${this.project.name}_${peer}-log`]);
    expect(code, error).toBe(0);
  }

  /** Looks until a command shows this. @param documented how the page has the symptom */
  shows(symptom: RegExp, documented: string, command = 'status', as = command): Promise<string> {
    expectInPage(documented);
    return until(`${command} shows ${symptom}`, this.withinMs, async () => {
      const { out, error } = await this.conclave(command, as);
      if (!symptom.test(out + error)) throw new Error(out + error);
      return out + error;
    });
  }

  /** Until a command exits with 0. */
  succeeds(command: string, as = command): Promise<unknown> {
    return until(`${command} exits with 0`, this.withinMs, async () => {
      const { code, out, error } = await this.conclave(command, as);
      if (code !== 0) throw new Error(`${code}: ${out}${error}`);
      return true;
    });
  }

  async leader(): Promise<string> {
    const said = await this.shows(/^leader +n\d$/m, '    leader         n5');
    return /^leader +(n\d)$/m.exec(said)?.[1] as string;
  }
}

export function expectInPage(text: string): void {
  expect(page.includes(text), `operations.md has: ${text}`).toBe(true);
}

/** The four services of a peer, in the order of the page. */
export function services(peer: string): string {
  return actors.map((actor) => `${peer}-${actor}`).join(' ');
}
