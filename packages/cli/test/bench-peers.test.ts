import { describe, expect, it } from 'vitest';
import {
  compare,
  comparisonRecord,
  type PeerResult,
  peerRecord,
  peerTables,
  selectPeerRows,
} from '../src/bench/peers/comparison.js';
import { loadClient } from '../src/bench/peers/system.js';

const names = (...selectors: string[]) => selectPeerRows(selectors).map((row) => row.name);

describe('the rows beside other systems', () => {
  it('are selected by name, system, or how many are in flight', () => {
    expect(selectPeerRows([])).toHaveLength(16);
    expect(names('etcd', 'one-64')).toEqual(['one-64', 'etcd-1', 'etcd-64', 'etcd-256', 'etcd-1024']);
    expect(names('1')).toEqual(['four-1', 'one-1', 'etcd-1', 'jetstream-1']);
    expect(() => selectPeerRows(['reads'])).toThrow(expect.objectContaining({ code: 'EINVAL' }));
  });
});

const measured = { operations: 100, failed: 0, seconds: 2, operationsPerSecond: 3_000, p50Ms: 6, p99Ms: 9.25 };
const result = (name: string, operationsPerSecond: number, p50Ms: number): PeerResult => {
  const [row] = selectPeerRows([name]);
  return { ...(row as PeerResult), measured: { ...measured, operationsPerSecond, p50Ms } };
};

describe('Conclave beside other systems', () => {
  const results = [result('four-64', 3_000, 6), result('one-64', 6_000, 3), result('etcd-64', 2_000, 12)];

  it('is compared where as many are in flight', () => {
    expect(compare(results)).toEqual([
      { row: 'four-64', against: 'etcd-64', inFlight: 64, writesRatio: 1.5, p50Ratio: 0.5 },
      { row: 'one-64', against: 'etcd-64', inFlight: 64, writesRatio: 3, p50Ratio: 0.25 },
    ]);
    expect(compare([result('four-64', 1, 1), result('etcd-1', 1, 1)])).toEqual([]);
  });

  it('is printed as what was measured, and as ratios if there are any', () => {
    expect(peerTables(results).join('\n\n')).toMatchInlineSnapshot(`
      "system          in flight  writes/s  p50 ms  p99 ms  failed
      Conclave, four         64     3,000    6.00    9.25       0
      Conclave, one          64     6,000    3.00    9.25       0
      etcd                   64     2,000   12.00    9.25       0

      row      divided by  writes/s    p50
      four-64  etcd-64        1.50x  0.50x
      one-64   etcd-64        3.00x  0.25x"
    `);
    expect(peerTables(results.slice(0, 1))).toHaveLength(1);
  });

  it('is one line of JSON each', () => {
    expect(peerRecord(results[2] as PeerResult)).toMatchObject({
      ...{ row: 'etcd-64', system: 'etcd', in_flight: 64, failed: 0, operations_per_second: 2_000, p50_ms: 12 },
    });
    expect(compare(results).map(comparisonRecord)[0]).toEqual({
      ...{ row: 'four-64', against: 'etcd-64', in_flight: 64, writes_ratio: 1.5, p50_ratio: 0.5 },
    });
  });
});

describe('a client of another system', () => {
  it('that is not installed is reported with the command that installs it', async () => {
    const missing = Object.assign(new Error('no such package'), { code: 'ERR_MODULE_NOT_FOUND' });
    await expect(loadClient('etcd3', () => Promise.reject(missing))).rejects.toMatchObject({
      name: 'NotInstalled',
      message: 'its client is not installed: npm install --no-save etcd3',
    });
    await expect(loadClient('etcd3', () => Promise.reject(new Error('broken')))).rejects.toThrow('broken');
    expect(await loadClient('etcd3', async () => 7)).toBe(7);
  });
});
