/**
 * What a state machine has to hold that has applied a log up to an entry: found out by a fresh one that applies it, which
 * knows nothing of snapshots.
 *
 * Owns one such machine, and what it held at the entries that were asked for.
 */
import { KvStateMachine } from '@conclave/kv';
import { type Configuration, decodeConfiguration } from '@conclave/protocol';
import { isFlipped } from '../../mesh/flipped-state.js';
import { type Entry, hasEntry } from './log-tree.js';

export class ReferenceStates {
  private machine = new KvStateMachine();
  private at: Entry | undefined;
  private readonly known = new WeakMap<Entry, Buffer>();

  /** The state behind an entry, as bytes: the same state gives the same. */
  of(entry: Entry): Buffer {
    const known = this.known.get(entry);
    if (known !== undefined) return known;
    if (this.at === undefined || !hasEntry(entry, this.at)) {
      this.machine = new KvStateMachine();
      this.at = undefined;
    }
    const path: Entry[] = [];
    for (let next: Entry | undefined = entry; next !== undefined && next !== this.at; next = next.prev) path.push(next);
    for (const { kind, index, payload } of path.reverse()) {
      if (kind === 'commands') this.machine.apply(index, payload);
      else this.begin(decodeConfiguration(payload));
    }
    this.at = entry;
    const state = stateOf(this.machine);
    this.known.set(entry, state);
    return state;
  }

  private begin({ history, epoch = 0, level = 0 }: Configuration): void {
    if (history !== undefined) this.machine.beginHistory({ groupUid: history.group_uid, base: history.base });
    else if (level === 0 && epoch > 0) this.machine.beginEpoch(epoch);
  }
}

/** The state that pieces of a snapshot give; undefined: they give none; or it is one that was spoiled, as the run wanted it. */
export function restoredState(pieces: readonly Uint8Array[]): Buffer | 'spoiled' | undefined {
  const machine = new KvStateMachine();
  try {
    const restore = machine.restore();
    for (const piece of pieces) restore.take(piece);
    restore.end();
    if (isFlipped(machine)) return 'spoiled';
  } catch {
    return undefined;
  }
  return stateOf(machine);
}

function stateOf(machine: KvStateMachine): Buffer {
  const pieces: Uint8Array[] = [];
  const drawn = machine.snapshot();
  for (let next = drawn.next(); next.done !== true; next = drawn.next()) pieces.push(next.value);
  return Buffer.concat(pieces);
}
