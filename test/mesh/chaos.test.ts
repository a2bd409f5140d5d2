import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { describePlan, faultName, faultNames, planChaos } from '../chaos/chaos-plan.js';
import { runChaos } from '../chaos/chaos-run.js';
import { describeReport } from '../chaos/report.js';

const keepIn = path.normalize(fileURLToPath(new URL('../../.cache/chaos', import.meta.url)));

describe('chaos', () => {
  it('is planned by its seed only, and some seeds together have every fault', () => {
    const lengthMs = 300_000;
    expect(describePlan(planChaos(1, lengthMs))).toBe(describePlan(planChaos(1, lengthMs)));
    expect(describePlan(planChaos(1, lengthMs))).not.toBe(describePlan(planChaos(2, lengthMs)));
    const faults = [1, 2, 3, 4, 5].flatMap((seed) => planChaos(seed, lengthMs).faults);
    expect(new Set(faults.map(({ fault }) => faultName(fault)))).toEqual(new Set(faultNames));
  });

  it('promises 2, 3, 7, 8, 13, 16 and 21 on real processes: kills, pauses, cut links and changes for some seconds lose nothing', async () => {
    const options = { placement: 'one', clients: 16, comeBackMs: 60_000, keep: false, keepIn } as const;
    const report = await runChaos({ ...options, seed: 7, faultsMs: 10_000 });
    expect(report.problems, describeReport(report)).toEqual([]);
    expect(report).toMatchObject({ passed: true, lost: 0, deaths: 0 });
    // It has been what it is called.
    const hits = Object.values(report.faults).reduce((sum, { done }) => sum + done, 0);
    expect(hits).toBeGreaterThan(4);
    expect(report.commands.change?.asked).toBeGreaterThan(0);
    expect(report.acknowledgedOnce).toBeGreaterThan(0);
  });
});
