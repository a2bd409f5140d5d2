import { asGroupId, asLogIndex, asPeerId, asSession, asTerm, type HostedGroup, limits } from '@conclave/protocol';
import { describe, expect, it } from 'vitest';
import { batchKey, hostedGroupsKey, metaKey, type RecordedGroup } from '../src/core/index.js';
import { HostedGroups } from '../src/hosted-groups.js';
import { LevelLogStorage } from '../src/level-log-storage.js';
import { MemoryLogStorage } from '../src/memory-log-storage.js';
import { makeFolder } from './temporary-folder.js';

const orders = asGroupId('orders');
const bills = asGroupId('bills');

function hosting(groupId: typeof orders, hostingId = 'h'): HostedGroup {
  return { group_id: groupId, hosting_id: hostingId };
}

function fill(groupId: typeof orders, batches: number) {
  const value = new Uint8Array([1]);
  const keys = [metaKey(groupId), ...Array.from({ length: batches }, (_, index) => batchKey(groupId, index + 1))];
  return keys.map((key) => ({ type: 'put', key, value }) as const);
}

describe('HostedGroups', () => {
  it('keep what was created, in its order, and count the changes', async () => {
    const storage = new MemoryLogStorage();
    const groups = await HostedGroups.open(storage);
    expect([groups.version, groups.groups]).toEqual([0, []]);
    await groups.add(hosting(orders, 'first'));
    await groups.add(hosting(bills));
    await groups.release(orders);
    await groups.remove(orders);
    await groups.add(hosting(orders, 'second'));
    const again = await HostedGroups.open(storage);
    expect([again.version, again.groups]).toEqual([4, [hosting(bills), hosting(orders, 'second')]]);
    expect(again.find(orders)).toEqual(hosting(orders, 'second'));
  });

  it('remove all data of a group and nothing else, however many there are', async () => {
    const storage = new MemoryLogStorage();
    const groups = await HostedGroups.open(storage);
    await groups.add(hosting(orders));
    await storage.write([...fill(orders, limits.groupDeleteKeys * 2 + 1), ...fill(bills, 2)]);
    expect(await groups.holds(orders)).toBe(true);
    await groups.release(orders);
    await groups.remove(orders);
    expect(await groups.holds(orders)).toBe(false);
    expect([...storage.rows.keys()].toSorted()).toEqual(
      [hostedGroupsKey, ...fill(bills, 2).map(({ key }) => key)].toSorted(),
    );
  });

  it('continue a removal that a crash has interrupted, and the description of the store is removed last', async () => {
    const storage = new MemoryLogStorage({ holdSyncs: true });
    const opening = HostedGroups.open(storage);
    const groups = await opening;
    const filled = storage.write(fill(orders, 2));
    storage.sync();
    await filled;
    const leaving = groups.release(orders);
    storage.sync();
    await leaving;
    const removing = groups.remove(orders);
    await new Promise((resolve) => setImmediate(resolve));
    storage.sync();
    expect([...storage.rows.keys()]).toEqual([metaKey(orders), hostedGroupsKey]);
    await new Promise((resolve) => setImmediate(resolve));
    storage.crash();
    await expect(removing).rejects.toThrow('crashed');
    const reopened = HostedGroups.open(storage);
    let done = false;
    void reopened.then(() => {
      done = true;
    });
    while (!done) {
      storage.sync();
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect([...storage.rows.keys()]).toEqual([hostedGroupsKey]);
  });

  it('refuse to go by a damaged list', async () => {
    const storage = new MemoryLogStorage();
    await (await HostedGroups.open(storage)).add(hosting(orders));
    const row = storage.rows.get(hostedGroupsKey) ?? new Uint8Array();
    row.set([(row[6] ?? 0) ^ 1], 6);
    await expect(HostedGroups.open(storage)).rejects.toMatchObject({ code: 'ECORRUPT' });
  });

  it('leave nothing in LevelDB that looks lost, when a group was removed whose entries were the last write', async () => {
    const folder = await makeFolder();
    const note: RecordedGroup = {
      group_id: orders,
      last_index: asLogIndex(1),
      term: asTerm(1),
      voted_for: asPeerId('n1'),
      session: asSession(1),
    };
    try {
      const storage = new LevelLogStorage({ folder: folder.path });
      await storage.open();
      const groups = await HostedGroups.open(storage);
      await groups.add(hosting(orders));
      await storage.write([{ type: 'put', key: batchKey(orders, 1), value: new Uint8Array([1]) }], [note]);
      await groups.release(orders);
      await groups.remove(orders);
      await storage.close();
      const again = new LevelLogStorage({ folder: folder.path });
      await again.open();
      expect(await again.keysOf(orders, 1)).toEqual([]);
      expect((await HostedGroups.open(again)).groups).toEqual([]);
      await again.close();
    } finally {
      await folder.remove();
    }
  });
});
