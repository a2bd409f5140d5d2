import { type KvReply, limits } from '@conclave/protocol';
import { describe, expect, it } from 'vitest';
import { KvStateMachine } from '../src/index.js';
import { Door } from './support.js';

/** What one peer has of a group, and what clients of it can have been given out. */
function some(door: Door) {
  const { lease_id } = door.ask('lease_grant', { ttl_ms: 5000 }) as { lease_id: number };
  const { revision } = door.ask('put', { key: 'k', value: 'v', lease_id }) as KvReply<'put'>;
  const { token } = door.ask('lock', { name: `lock ${lease_id}`, owner: 'me', lease_id }) as KvReply<'lock'>;
  return [lease_id, revision, token, door.openSession()];
}

function restored(door: Door): Door {
  const machine = new KvStateMachine();
  const restore = machine.restore();
  const snapshot = door.stateMachine.snapshot();
  for (let next = snapshot.next(); next.done !== true; next = snapshot.next()) restore.take(next.value);
  restore.end();
  const other = new Door(machine);
  other.index = door.index;
  return other;
}

describe('an epoch, which a reset begins', () => {
  it('gives out no revision, token, lease or session that the lost history may have given out', () => {
    const door = new Door(new KvStateMachine());
    some(door);
    const survivor = restored(door);
    const lost = Array.from({ length: 20 }, () => some(door)).flat();
    survivor.stateMachine.beginEpoch(1);
    const found = Array.from({ length: 20 }, () => some(survivor)).flat();
    expect(found.filter((one) => lost.includes(one))).toEqual([]);
    expect(Math.min(...found.map(Number))).toBeGreaterThan(Math.max(...lost.map(Number)));
    // A session of the lost history is none here.
    const write = { client_id: lost[3], commands: [[1, 'put', 'k', 'w']] };
    expect(survivor.results(write)).toMatchObject([['unknown', 'ESESSION', expect.anything()]]);
  });

  it('forgets what has changed before: who watched goes by what is there', () => {
    const door = new Door(new KvStateMachine());
    some(door);
    const { revision } = door.stateMachine.history;
    door.stateMachine.beginEpoch(1);
    for (const from_revision of [1, revision + 1, revision + 100]) {
      expect(() => door.ask('changes', { prefix: '', from_revision })).toThrow('are known from revision');
    }
    expect(door.ask('get', { key: 'k' })).toMatchObject({ value: 'v', revision: 1 });
  });

  it('begins once, and is the same from a snapshot', () => {
    const door = new Door(new KvStateMachine());
    some(door);
    door.stateMachine.beginEpoch(limits.epochs - 1);
    some(door);
    const other = restored(door);
    for (const one of [door, other]) one.stateMachine.beginEpoch(limits.epochs - 1);
    expect(some(other)).toEqual(some(door));
    door.stateMachine.beginEpoch(limits.epochs);
    expect(some(door).every((one) => Number.isSafeInteger(one))).toBe(true);
  });
});
