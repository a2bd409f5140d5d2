/**
 * Renders samples in Prometheus's text format. The only file that knows `prom-client`: version 15 runs on Node 20, and its successor
 * `@prometheus-io/client` needs Node 22.
 */
import { type Buckets, type MetricName, metrics } from '@conclave/protocol';
import { Registry } from 'prom-client';
import type { LabelledSample } from './labelled.js';

export const contentType: string = Registry.PROMETHEUS_CONTENT_TYPE;

/** One line of the text. */
interface Value {
  readonly metricName: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** Returns the text, with the metrics in the order of their table. */
export function render(samples: readonly LabelledSample[]): Promise<string> {
  const byName = new Map<MetricName, LabelledSample[]>();
  for (const sample of samples) {
    const known = byName.get(sample.name);
    if (known === undefined) byName.set(sample.name, [sample]);
    else known.push(sample);
  }
  const registry = new Registry();
  for (const [name, { help, type }] of Object.entries(metrics) as [MetricName, (typeof metrics)[MetricName]][]) {
    const values = byName.get(name)?.flatMap(valuesOf);
    if (values === undefined) continue;
    // A registry asks its metrics for nothing else.
    const family = { name, help, type, get: () => ({ name, help, type, values }) };
    registry.registerMetric(family as never);
  }
  return registry.metrics();
}

function valuesOf({ name, labels, value, buckets }: LabelledSample): Value[] {
  if (buckets !== undefined) return bucketValues(name, labels, buckets);
  return [{ metricName: name, labels, value: value ?? Number.POSITIVE_INFINITY }];
}

/** Prometheus counts in each bucket the values of all lower ones, too. */
function bucketValues(name: MetricName, labels: Readonly<Record<string, string>>, buckets: Buckets): Value[] {
  let count = 0;
  const values = buckets.counts.map((amount, place) => {
    count += amount;
    const bound = buckets.bounds[place];
    const le = bound === undefined ? '+Inf' : String(bound);
    return { metricName: `${name}_bucket`, labels: { ...labels, le }, value: count };
  });
  return [
    ...values,
    { metricName: `${name}_sum`, labels, value: buckets.sum },
    { metricName: `${name}_count`, labels, value: count },
  ];
}
