/** Operations in short, for histories that are written by hand. A time is a pair of call and return. */
import type { Operation } from '../../src/linearizability/index.js';

export type Times = readonly [called: number, returned: number];
type Undone = 'not_done' | 'unknown';

function at([called, returned]: Times, client: string, key: string) {
  return { client, key, called, returned };
}

/** Writes and reads of one key by one client. */
export class Client {
  constructor(
    private readonly name: string,
    private readonly key = 'a',
  ) {}

  put(times: Times, value: string, end: number | Undone): Operation {
    const called = { ...at(times, this.name, this.key), name: 'put', value } as const;
    return typeof end === 'number'
      ? { ...called, outcome: 'done', reply: { revision: end } }
      : { ...called, outcome: end };
  }

  /** `value` null: the key was missing. */
  get(times: Times, value: string | null, revision: number, consistency: 'linearizable' | 'stale' = 'linearizable') {
    const called = { ...at(times, this.name, this.key), name: 'get', consistency } as const;
    return { ...called, outcome: 'done', reply: { value, revision } } as const;
  }

  /** `end`: the revision of the deletion; 0: the key was missing. */
  delete(times: Times, end: number | Undone): Operation {
    const called = { ...at(times, this.name, this.key), name: 'delete' } as const;
    if (typeof end !== 'number') return { ...called, outcome: end };
    return { ...called, outcome: 'done', reply: { deleted: end > 0, revision: end } };
  }

  /** `end`: swapped, with this revision. */
  cas(times: Times, expectedRevision: number, value: string, end: number | Undone): Operation {
    const called = { ...at(times, this.name, this.key), name: 'cas', expectedRevision, value } as const;
    if (typeof end !== 'number') return { ...called, outcome: end };
    return { ...called, outcome: 'done', reply: { swapped: true, revision: end } };
  }

  /** A cas that did not swap, as the key had `revision`. */
  refused(times: Times, expectedRevision: number, value: string, revision: number): Operation {
    const called = { ...at(times, this.name, this.key), name: 'cas', expectedRevision, value } as const;
    return { ...called, outcome: 'done', reply: { swapped: false, revision } };
  }
}
