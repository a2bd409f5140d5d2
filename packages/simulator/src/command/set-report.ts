/** What is printed of a set of seeds. */
import Table from 'cli-table3';
import { missingCoverage } from '../run/expected-coverage.js';
import type { SetResult } from './seed-set.js';

/** Of one run or many: how fast it went. */
export function speedLine(result: Pick<SetResult, 'seeds' | 'steps' | 'virtualMs' | 'tookMs'>): string {
  const { seeds, steps, virtualMs, tookMs } = result;
  const { eventsASecond, seedsAMinute } = speedOf(result);
  const hours = (virtualMs / 3_600_000).toFixed(2);
  const taken = (tookMs / 1000).toFixed(1);
  return `${plural(seeds, 'seed')}, ${steps} events in ${hours} simulated hours, ${taken} s: ${eventsASecond} events a second, ${seedsAMinute} seeds a minute`;
}

export function speedOf({ seeds, steps, tookMs }: Pick<SetResult, 'seeds' | 'steps' | 'tookMs'>): {
  eventsASecond: number;
  seedsAMinute: number;
} {
  return {
    eventsASecond: Math.round((steps / tookMs) * 1000),
    seedsAMinute: Math.round((seeds / tookMs) * 60_000),
  };
}

/** Without lines between the rows. */
const chars = { mid: '', 'left-mid': '', 'mid-mid': '', 'right-mid': '' };

export function coverageTable(coverage: Readonly<Record<string, number>>): string {
  const table = new Table({
    head: ['reached', 'times'],
    style: { head: [], border: [] },
    colAligns: ['left', 'right'],
    chars,
  });
  for (const [what, times] of Object.entries(coverage)) table.push([what, times]);
  for (const what of missingCoverage(coverage)) table.push([what, 'NEVER']);
  return table.toString();
}

/** The set as data. */
export function setAsJson(result: SetResult): object {
  const { from, seeds, steps, virtualMs, tookMs, coverage, failed } = result;
  return {
    from,
    seeds,
    failed: failed.map(({ seed, violation }) => ({ seed, ...violation })),
    missing: missingCoverage(coverage),
    events: steps,
    simulated_ms: Math.round(virtualMs),
    took_ms: Math.round(tookMs),
    events_a_second: speedOf(result).eventsASecond,
    seeds_a_minute: speedOf(result).seedsAMinute,
    coverage,
  };
}

function plural(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}
