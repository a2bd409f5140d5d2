/**
 * The recent writes, by revision, for watches and `changes`.
 *
 * Owns: the last entries, and for each revision which command of which entry made it: a put adds three numbers. Values are decoded
 * only on request: V8 is slow with texts that are kept for some tens of thousands of writes, which took a fifth of a peer's time.
 *
 * Not replicated state: how far it goes back depends on what this peer was restored from.
 *
 * Invariants:
 * 1. It holds the revisions from `first` to `revision`, each at its place in the columns, and their entries.
 * 2. A revision that wrote no key (a lock was acquired) has no key; one whose key no command names (its lease has ended)
 *    has a key, and no operation. Neither needs an entry: they are dropped with the entry of the revision before.
 * 3. The places of the revisions do not fall: if the oldest one's entry is kept, so are all the others'.
 */
import type { ChangesBound, ChangesPage, KeyedHistory, StateMachineHistory } from '@conclave/actor/core';
import {
  type EntryCommand,
  invariant,
  type KeyChange,
  limits,
  type Operation,
  publicPartOf,
  type Value,
} from '@conclave/protocol';
import { EntryRing } from './entry-ring.js';
import { decodeEntry } from './kv-entry.js';
import { foundOverheadBytes } from './stored-value.js';

/** What writes a key: a command without its number, or an operation of a transaction. */
type KeyWrite = Operation | readonly ['cas', string, Value, number];

/** How much is kept. */
export interface HistoryBounds {
  readonly revisions: number;
  /** Of entries. */
  readonly bytes: number;
}

/** Operations of a command: those of a transaction's first branch, then those of its second. */
const operationsEach = 2 * limits.transactionParts;
/** Instead of an operation: no command names the deletion of the key. */
const endOfLease = -1;

export class KeyHistory implements StateMachineHistory, KeyedHistory {
  private readonly entries: EntryRing;
  /** Undefined: no key was written. */
  private readonly keys: (string | undefined)[] = [];
  /** The place of the entry. */
  private readonly places: number[] = [];
  /** Which operation of the entry it was. */
  private readonly operations: number[] = [];
  private last: number;
  private oldest: number;
  /** The slots of `last` and `oldest`, updated with them: V8 divides numbers as large as revisions slowly. */
  private lastAt: number;
  private oldestAt = 0;
  /** The entry that is being applied, and its place, once it has changed something. */
  private payload: Uint8Array = new Uint8Array(0);
  private place: number | undefined;
  private operation = 0;
  /** The last decoded entry, as several watches read the same one. */
  private decoded: { readonly place: number; readonly commands: readonly EntryCommand[] } | undefined;

  /** @param base the first revision is the one after it */
  constructor(
    private readonly base: number,
    private readonly bounds: HistoryBounds,
  ) {
    this.last = base;
    this.oldest = base + 1;
    this.lastAt = bounds.revisions - 1;
    this.entries = new EntryRing(bounds.bytes);
  }

  get revision(): number {
    return this.last;
  }

  get first(): number {
    return this.oldest;
  }

  /** The next changes are made by the commands of this entry. */
  begin(payload: Uint8Array): void {
    this.payload = payload;
    this.place = undefined;
  }

  /** The next changes are made by this command. */
  turnTo(command: number): void {
    this.operation = command * operationsEach;
  }

  /** The next changes are made by this operation of the command. */
  turnToOperation(operation: number): void {
    this.operation += operation - (this.operation % operationsEach);
  }

  /** Adds a revision: the command has written its key. @returns the revision */
  add(key: string): number {
    this.place ??= this.entries.add(this.payload);
    return this.note(key, this.place, this.operation);
  }

  /** Adds a revision: a key was deleted that no command names. @returns the revision */
  addDelete(key: string): number {
    return this.note(key, this.placeBefore(), endOfLease);
  }

  /** Adds a revision without a key. @returns the revision */
  addNone(): number {
    return this.note(undefined, this.placeBefore(), 0);
  }

  /** @param selector a prefix of keys */
  changes(selector: unknown, from: number, bound: ChangesBound): ChangesPage {
    const prefix = selector as string;
    invariant(from >= this.oldest, 'the requested revisions are kept');
    const changes: KeyChange[] = [];
    const end = Math.min(this.last, from + bound.revisions - 1);
    let bytes = 0;
    let revision = from;
    for (; revision <= end; revision++) {
      const at = this.slotOf(revision);
      const key = this.keys[at];
      if (key === undefined || !key.startsWith(prefix)) continue;
      const change = this.changeOfSlot(revision, key, at);
      const more = bytesOf(key, change);
      if (changes.length > 0 && (changes.length >= bound.changes || bytes + more > bound.bytes)) break;
      changes.push(change);
      bytes += more;
    }
    return { changes, bytes, upTo: revision - 1 };
  }

  /** Watches are found by their keys. */
  get keyed(): KeyedHistory {
    return this;
  }

  keyOf(revision: number): string | undefined {
    return this.keys[this.slotOf(revision)];
  }

  changeAt(revision: number): { change: KeyChange; bytes: number } {
    const at = this.slotOf(revision);
    const key = this.keys[at];
    invariant(key !== undefined && revision >= this.oldest && revision <= this.last, 'a change is of a known key');
    const change = this.changeOfSlot(revision, key, at);
    return { change, bytes: bytesOf(key, change) };
  }

  private note(key: string | undefined, place: number, operation: number): number {
    invariant(this.last < Number.MAX_SAFE_INTEGER, 'there are revisions left');
    this.last += 1;
    this.lastAt = this.slotAfter(this.lastAt);
    if (this.last - this.oldest >= this.bounds.revisions) this.dropOldest();
    const at = this.lastAt;
    this.keys[at] = key;
    this.places[at] = place;
    this.operations[at] = operation;
    const { first } = this.entries;
    while ((this.places[this.oldestAt] as number) < first) this.dropOldest();
    return this.last;
  }

  /** The place of the last revision; if none is kept, that of the next one. */
  private placeBefore(): number {
    return this.last < this.oldest ? this.entries.end : (this.places[this.lastAt] as number);
  }

  private dropOldest(): void {
    this.keys[this.oldestAt] = undefined;
    this.oldest += 1;
    this.oldestAt = this.slotAfter(this.oldestAt);
  }

  private slotAfter(slot: number): number {
    return slot + 1 === this.bounds.revisions ? 0 : slot + 1;
  }

  /** The columns grow with the first revisions: a group with few writes takes little memory. */
  private slotOf(revision: number): number {
    return (revision - this.base - 1) % this.bounds.revisions;
  }

  private changeOfSlot(revision: number, key: string, at: number): KeyChange {
    const operation = this.operations[at] as number;
    if (operation === endOfLease) return [revision, 'delete', key];
    const command = this.commandsAt(this.places[at] as number)[Math.floor(operation / operationsEach)];
    invariant(command !== undefined, 'an entry has the commands that were executed');
    if (command[1] !== 'txn') return changeOf(revision, key, command.slice(1) as unknown as KeyWrite);
    const [, , , then, otherwise] = command;
    return changeOf(revision, key, [...then, ...otherwise][operation % operationsEach] as KeyWrite);
  }

  private commandsAt(place: number): readonly EntryCommand[] {
    if (this.decoded?.place === place) return this.decoded.commands;
    const entry = decodeEntry(this.entries.at(place));
    invariant(typeof entry === 'object' && 'commands' in entry, 'an entry that was applied has commands');
    this.decoded = { place, commands: entry.commands };
    return entry.commands;
  }
}

function changeOf(revision: number, key: string, write: KeyWrite): KeyChange {
  const [name, , value, leaseId] = write;
  if (name === 'delete') return [revision, 'delete', key];
  invariant(value !== undefined, 'a put has a value');
  return name === 'cas' || leaseId === undefined
    ? [revision, 'put', key, value]
    : [revision, 'put', key, value, publicPartOf(leaseId)];
}

function bytesOf(key: string, change: KeyChange): number {
  return foundOverheadBytes + Buffer.byteLength(key) + valueBytes(change);
}

function valueBytes([, , , value]: KeyChange): number {
  if (value === undefined) return 0;
  return typeof value === 'string' ? Buffer.byteLength(value) : value.length;
}
