/**
 * What has been written lately, by revision: for watches, and for who asks what has changed.
 *
 * Owns a ring of the last revisions, one column for each part of a write: what a put adds to it is three stores. It shares
 * keys and values with what is stored, and keeps them alive when that goes: so it is bounded in bytes, too.
 *
 * It is no replicated state: how far it goes back depends on what this peer was restored from.
 *
 * Invariants:
 * 1. It holds the revisions from `first` to `revision`, each at its place in the columns; a place that holds none is empty.
 * 2. `bytes` is what the keys and values in it take, about, and at most `bounds.bytes` when more than one is there.
 * 3. A revision that wrote no key (a lock was acquired) has a place with no key.
 */
import type { ChangesBound, ChangesPage, StateMachineHistory } from '@conclave/actor/core';
import { invariant, type KeyChange } from '@conclave/protocol';
import { foundOverheadBytes, keptValue, type Stored, sizeOf } from './stored-value.js';

type Put = Pick<Stored, 'text' | 'isBinary' | 'leaseId'>;

/** How much is remembered. */
export interface HistoryBounds {
  readonly revisions: number;
  /** Of keys and values. */
  readonly bytes: number;
}

export class KeyHistory implements StateMachineHistory {
  /** Undefined: no key was written. */
  private readonly keys: (string | undefined)[] = [];
  /** Undefined: it was deleted. */
  private readonly texts: (string | undefined)[] = [];
  /** Twice the lease's id, and 1 where the value is binary. */
  private readonly marks: number[] = [];
  private bytes = 0;
  private last: number;
  private oldest: number;

  /** @param base it begins behind this revision */
  constructor(
    private readonly base: number,
    private readonly bounds: HistoryBounds,
  ) {
    this.last = base;
    this.oldest = base + 1;
  }

  get revision(): number {
    return this.last;
  }

  get first(): number {
    return this.oldest;
  }

  /** The next revision, of a key or of none. `text` undefined: deleted. */
  add(key: string | undefined, text: string | undefined, mark: number): void {
    invariant(this.last < Number.MAX_SAFE_INTEGER, 'there are revisions left');
    this.last += 1;
    if (this.last - this.oldest >= this.bounds.revisions) this.dropOldest();
    const place = this.placeOf(this.last);
    this.keys[place] = key;
    this.texts[place] = text;
    this.marks[place] = mark;
    this.bytes += unitsOf(key, text);
    while (this.bytes > this.bounds.bytes && this.oldest < this.last) this.dropOldest();
  }

  /** @param selector what keys begin with */
  changes(selector: unknown, from: number, most: ChangesBound): ChangesPage {
    const prefix = selector as string;
    invariant(from >= this.oldest, 'what is asked for is still known');
    const changes: KeyChange[] = [];
    const end = Math.min(this.last, from + most.revisions - 1);
    let bytes = 0;
    let revision = from;
    for (; revision <= end; revision++) {
      const place = this.placeOf(revision);
      const key = this.keys[place];
      if (key === undefined || !key.startsWith(prefix)) continue;
      const put = this.putAt(place);
      const more = foundOverheadBytes + Buffer.byteLength(key) + (put === undefined ? 0 : sizeOf(put));
      if (changes.length > 0 && (changes.length >= most.changes || bytes + more > most.bytes)) break;
      changes.push(changeOf(revision, key, put));
      bytes += more;
    }
    return { changes, bytes, upTo: revision - 1 };
  }

  private putAt(place: number): Put | undefined {
    const text = this.texts[place];
    const mark = this.marks[place] as number;
    return text === undefined ? undefined : { text, isBinary: mark % 2 === 1, leaseId: Math.floor(mark / 2) };
  }

  private dropOldest(): void {
    const place = this.placeOf(this.oldest);
    this.bytes -= unitsOf(this.keys[place], this.texts[place]);
    this.keys[place] = undefined;
    this.texts[place] = undefined;
    this.oldest += 1;
  }

  /** The columns grow with the first revisions: a group that writes little takes little. */
  private placeOf(revision: number): number {
    return (revision - this.base - 1) % this.bounds.revisions;
  }
}

/** As many bytes, about: units of UTF-16, which cost nothing to count. */
function unitsOf(key: string | undefined, text: string | undefined): number {
  return (key?.length ?? 0) + (text?.length ?? 0);
}

function changeOf(revision: number, key: string, put: Put | undefined): KeyChange {
  if (put === undefined) return [revision, 'delete', key];
  if (put.leaseId === 0) return [revision, 'put', key, keptValue(put)];
  return [revision, 'put', key, keptValue(put), put.leaseId];
}
