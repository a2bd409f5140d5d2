import { asGroupId } from '@conclave/protocol';
import { expect, it } from 'vitest';
import { metaKey } from '../src/core/index.js';
import { MemoryLogStorage } from '../src/memory-log-storage.js';

const main = asGroupId('main');
const put = (...bytes: number[]) => [{ type: 'put', key: metaKey(main), value: new Uint8Array(bytes) } as const];

it('shows and keeps a write only once it is synced', async () => {
  const storage = new MemoryLogStorage({ holdSyncs: true });
  const first = storage.write(put(1));
  expect(storage.loadNow(main).meta).toBeUndefined();
  storage.sync();
  await first;
  const second = storage.write(put(2));
  storage.crash();
  await expect(second).rejects.toThrow('crashed');
  expect([...(storage.loadNow(main).meta ?? [])]).toEqual([1]);
});
