import { limits, type MetricSample } from '@conclave/protocol';
import { expect, it } from 'vitest';
import { FixedHistogram } from '../src/core/index.js';
import { MessageCounts, RequestTimes } from '../src/index.js';

it('a histogram counts each value in the first bucket whose bound it does not exceed', () => {
  const histogram = new FixedHistogram([1, 10]);
  for (const value of [0, 1, 1.5, 10, 11, 1000]) histogram.record(value);
  expect(histogram.buckets).toEqual({ bounds: [1, 10], counts: [2, 2, 2], sum: 1023.5 });
  expect(histogram.count).toBe(6);
});

it('messages are counted by name, and names without any are left out', () => {
  const counts = new MessageCounts();
  counts.add('node.append_entries');
  counts.add('feed.append', 100);
  counts.add('feed.append', 20);
  expect(new Map(counts.entries())).toEqual(
    new Map([
      ['node.append_entries', 1],
      ['feed.append', 120],
    ]),
  );
});

const labelsOf = (samples: readonly MetricSample[]) => samples.map(({ labels }) => Object.values(labels).join(' '));

it('requests are measured by operation and outcome, and their errors counted by code', () => {
  const times = new RequestTimes('kv');
  times.record('put', 0.01);
  times.record('put', 0.02);
  times.record('put', 1, { code: 'EPERM', message: '', outcome: 'unknown' });
  times.record('get', 0.01, { code: 'EPERM', message: '', outcome: 'not_done' });
  const samples = times.samples();
  expect(labelsOf(samples)).toEqual(['kv put done', 'kv put unknown', 'kv get not_done', 'kv EPERM']);
  expect(samples[0]?.buckets).toMatchObject({ sum: 0.03 });
  expect(samples.at(-1)?.value).toBe(2);
});

it('a request can name anything: only operations that were done have their own series, and not more than the limit', () => {
  const times = new RequestTimes('kv');
  times.record('garbage', 1, { code: 'ENOENT', message: '', outcome: 'not_done' });
  times.record('custom', 1);
  for (let at = 0; at < 2 * limits.measuredOperations; at++) times.record(`custom${at}`, 1);
  const operations = new Set(times.samples().flatMap(({ labels }) => labels.operation ?? []));
  expect([...operations].slice(0, 2)).toEqual(['custom', 'custom0']);
  expect(operations).toContain('other');
  expect(operations).not.toContain('garbage');
  expect(operations.size).toBeLessThanOrEqual(limits.measuredOperations + 1);
});
