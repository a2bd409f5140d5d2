/**
 * Decides whether the resources that a mesh uses stay bounded: compares the peaks of the last third of a run with those of the
 * third before it. In the first third some usage grows by design: the log up to its first snapshots, caches, the heaps of V8.
 */
import type { Sample } from './sampling.js';

/** A peak may be this much higher than the one before it: LevelDB and V8 both allocate and free memory in large steps. */
const maxGrowth = 1.25;
const slackBytes = 64 * 1024 * 1024;

export interface Peaks {
  readonly name: string;
  readonly before: number;
  readonly last: number;
  readonly bounded: boolean;
}

/**
 * Compares the peaks of each disk and of each process.
 * @param snapshotLogBytes this much log is deleted at once, and LevelDB frees the space later: the usage of a disk may grow by
 * this, if that is more than LevelDB's own steps
 */
export function peaksOf(samples: readonly Sample[], snapshotLogBytes: number): Peaks[] {
  const third = Math.floor(samples.length / 3);
  const middle = samples.slice(third, 2 * third);
  const last = samples.slice(2 * third);
  const peaks = (name: string, of: (sample: Sample) => number | undefined, slack: number): Peaks => {
    const [before, now] = [peak(middle, of), peak(last, of)];
    return { name, before, last: now, bounded: now <= maxGrowth * before + slack };
  };
  const names = samples.at(-1);
  if (names === undefined) return [];
  return [
    ...[...names.diskBytes.keys()].map((peer) =>
      peaks(`${peer} disk`, ({ diskBytes }) => diskBytes.get(peer), Math.max(slackBytes, snapshotLogBytes)),
    ),
    ...[...names.memoryBytes.keys()].map((name) =>
      peaks(`${name} memory`, (sample) => sample.memoryBytes.get(name), slackBytes),
    ),
  ];
}

function peak(samples: readonly Sample[], of: (sample: Sample) => number | undefined): number {
  return Math.max(0, ...samples.map((sample) => of(sample) ?? 0));
}
