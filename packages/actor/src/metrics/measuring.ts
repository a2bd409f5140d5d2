/** Whether this process records what happens often. Only `conclave bench --compare-metrics` turns it off, to measure what it costs. */
export const isMeasuring: boolean = process.env.CONCLAVE_BENCH_METRICS !== 'off';
