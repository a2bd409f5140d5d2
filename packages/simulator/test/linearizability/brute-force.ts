/** Decides whether a small history is linearizable by trying all orders, on the whole store, with all revisions. */
import type { Operation } from '../../src/linearizability/index.js';

interface Store {
  readonly keys: ReadonlyMap<string, { readonly value: string; readonly revision: number }>;
  /** The revision of the last write that changed something. */
  readonly revision: number;
}

type DoneOperation = Extract<Operation, { outcome: 'done' }>;

export function hasOrder(history: readonly Operation[], allWritesRecorded: boolean): boolean {
  const operations: readonly Operation[] = history.filter(
    (one) => one.outcome === 'done' || (one.outcome === 'unknown' && one.name !== 'get'),
  );
  const reported = operations.flatMap((one) => (one.outcome === 'done' ? [one.reply.revision] : []));
  const expected = operations.flatMap((one) => (one.name === 'cas' ? [one.expectedRevision] : []));
  const highest = Math.max(0, ...reported, ...expected) + operations.length;
  const tried = new Set<string>();

  function canEnd(left: readonly Operation[], store: Store): boolean {
    if (left.every(({ outcome }) => outcome === 'unknown')) return true;
    const here = JSON.stringify([left.map((one) => operations.indexOf(one)), [...store.keys].sort(), store.revision]);
    if (tried.has(here)) return false;
    tried.add(here);
    return left.some((one) => {
      const isFirst = left.every((other) => other.outcome === 'unknown' || other.returned >= one.called);
      const rest = left.filter((other) => other !== one);
      return isFirst && storesAfter(one, store).some((after) => canEnd(rest, after));
    });
  }

  function storesAfter(one: Operation, store: Store): Store[] {
    if (one.outcome !== 'done') return storesAfterUnknown(one, store);
    return allowedAfter(one, store).filter(({ revision }) => !allWritesRecorded || revision <= store.revision + 1);
  }

  function storesAfterUnknown(one: Operation, store: Store): Store[] {
    const stored = store.keys.get(one.key);
    if (one.name === 'get' || (one.name === 'delete' && stored === undefined)) return [];
    if (one.name === 'cas' && (stored?.revision ?? 0) !== one.expectedRevision) return [];
    const value = one.name === 'delete' ? undefined : one.value;
    const last = allWritesRecorded ? store.revision + 1 : highest;
    const stores: Store[] = [];
    for (let revision = store.revision + 1; revision <= last; revision++)
      stores.push(written(store, one.key, value, revision));
    return stores;
  }

  return canEnd(operations, { keys: new Map(), revision: 0 });
}

/** Returns the store after an acknowledged write or a read; none if its reply is wrong here. */
function allowedAfter(one: DoneOperation, store: Store): Store[] {
  const stored = store.keys.get(one.key);
  const { revision } = one.reply;
  const isNewer = revision > store.revision;
  switch (one.name) {
    case 'put':
      return isNewer ? [written(store, one.key, one.value, revision)] : [];
    case 'get':
      return (stored?.revision ?? 0) === revision && (stored?.value ?? null) === one.reply.value ? [store] : [];
    case 'delete':
      if (!one.reply.deleted) return stored === undefined && revision === 0 ? [store] : [];
      return isNewer && stored !== undefined ? [written(store, one.key, undefined, revision)] : [];
    case 'cas': {
      const fits = (stored?.revision ?? 0) === one.expectedRevision;
      if (!one.reply.swapped) return !fits && (stored?.revision ?? 0) === revision ? [store] : [];
      return fits && isNewer ? [written(store, one.key, one.value, revision)] : [];
    }
  }
}

function written(store: Store, key: string, value: string | undefined, revision: number): Store {
  const keys = new Map(store.keys);
  if (value === undefined) keys.delete(key);
  else keys.set(key, { value, revision });
  return { keys, revision };
}
