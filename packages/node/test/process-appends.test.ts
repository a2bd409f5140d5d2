import { expect, test } from 'vitest';
import type { NodeInput } from '../src/core/inputs-and-effects.js';
import { ProcessAppends } from '../src/process-appends.js';

const at = { nowMs: 0, wallTimeMs: 0, random: 0 };

class AppendingCore {
  uncommittedAppends = 0;
  readonly inputs: NodeInput[] = [];

  step(input: NodeInput) {
    this.inputs.push(input);
    return [];
  }
}

test('each core learns at the end of its turn how many appends of the others are uncommitted', () => {
  const appends = new ProcessAppends();
  const cores = [new AppendingCore(), new AppendingCore(), new AppendingCore()] as const;
  const [one, two, three] = cores.map((core) => appends.count(core));
  const othersOf = (at: 0 | 1 | 2): unknown => cores[at].inputs.at(-1);
  cores[0].uncommittedAppends = 3;
  one?.step({ type: 'idle' }, at);
  cores[1].uncommittedAppends = 1;
  two?.step({ type: 'start' }, at);
  expect(cores[1].inputs).toEqual([{ type: 'start' }]);
  two?.step({ type: 'idle' }, at);
  expect(othersOf(1)).toEqual({ type: 'idle', otherAppends: 3 });
  one?.step({ type: 'idle' }, at);
  expect(othersOf(0)).toEqual({ type: 'idle', otherAppends: 1 });
  three?.step({ type: 'idle' }, at);
  expect(othersOf(2)).toEqual({ type: 'idle', otherAppends: 4 });
  one?.release();
  three?.step({ type: 'idle' }, at);
  expect(othersOf(2)).toEqual({ type: 'idle', otherAppends: 1 });
});
