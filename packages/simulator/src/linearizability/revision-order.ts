/**
 * Whether the revisions of the whole group grow with time, over all keys.
 *
 * The writes that changed something are one sequence, ordered by revision. Write r has position 2r, and what happens
 * between the writes r and r + 1 has position 2r + 1. A reply allows an operation some positions: an acknowledged write
 * has one; a read of revision r has those up to the next revision of its key. An operation that was called after
 * another one had returned has no position before that one's. So, from the first call to the last return, each gets the
 * lowest position that is allowed; if one has none, there is no order. Time: one sort, then one pass.
 *
 * An operation of unknown outcome has a position only if it is the only one that can have made an observed revision.
 * Everything found here is wrong for certain; what is not found here may be found by the search of one key.
 */
import { MultiMap } from './multi-map.js';
import type { Violation } from './operation.js';
import { describeTime } from './operation.js';
import type { RevisionFact, RevisionTable } from './revision-table.js';
import { isStale, type Statement } from './statement.js';

/** The positions of one key's states in the sequence. */
class KeyLine {
  private readonly revisions: number[];
  /** For each gap before, between and after the revisions: the next gap, from this one on, in which the key may be absent. */
  private readonly absentFrom: number[] = [];

  constructor(
    private readonly facts: readonly RevisionFact[],
    private readonly mayBeRemoved: boolean,
  ) {
    this.revisions = facts.map(({ revision }) => revision);
    for (let gap = facts.length; gap >= 0; gap--) {
      this.absentFrom[gap] = this.absence(gap) === undefined ? (this.absentFrom[gap + 1] ?? Infinity) : gap;
    }
  }

  /** The last position at which the key still has this revision; what replaced it. */
  endOf(revision: number): { place: number; next: RevisionFact | undefined } {
    const next = this.facts[this.countUpTo(revision)];
    return { place: next === undefined ? Infinity : 2 * next.revision - 1, next };
  }

  /** Returns the first position, from this one on, at which the key may be absent; infinite if there is none. */
  absentAt(place: number): number {
    let gap = this.countUpTo(Math.floor(place / 2));
    for (;;) {
      gap = this.absentFrom[gap] ?? Infinity;
      const absence = gap === Infinity ? undefined : this.absence(gap);
      if (absence === undefined) return Infinity;
      if (absence.last >= place) return Math.max(place, absence.first);
      gap += 1;
    }
  }

  /** Returns where the key may be absent in the gap before its revision number `gap`. */
  private absence(gap: number): { first: number; last: number } | undefined {
    const before = this.facts[gap - 1];
    const revision = before?.revision ?? 0;
    // A deletion without a reply has a revision of its own.
    const wasPresent = before?.isPresent === true;
    if (wasPresent && !this.mayBeRemoved) return undefined;
    const first = 2 * (wasPresent ? revision + 1 : revision) + 1;
    const next = this.facts[gap];
    const last = next === undefined ? Infinity : 2 * next.revision - 1;
    return first > last ? undefined : { first, last };
  }

  /** Returns how many of the key's revisions are at most this one. */
  private countUpTo(revision: number): number {
    let low = 0;
    let high = this.revisions.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.revisions[middle] ?? Infinity) <= revision) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

interface Moment {
  readonly time: number;
  readonly isReturn: boolean;
  readonly statement: Statement;
}

export class RevisionOrder {
  private readonly lines = new Map<string, KeyLine>();
  /** Revisions that only one open write can have made. */
  private readonly madeBy = new Map<Statement, number>();
  /** The positions of operations. */
  private readonly places = new Map<Statement, number>();
  /** The last position known to be reached, and the operation that shows it. */
  private reached = 0;
  private reachedBy: Statement | undefined;
  /** By open write without a revision: the last position that was reached when it was called. */
  private readonly openPlaces: number[] = [];

  constructor(
    private readonly statements: readonly Statement[],
    private readonly table: RevisionTable,
  ) {
    const removers = new Set(
      statements.filter(({ claim }) => claim.type === 'may_remove').map(({ operation }) => operation.key),
    );
    for (const { operation } of statements) {
      const { key } = operation;
      if (!this.lines.has(key)) this.lines.set(key, new KeyLine(table.ofKey(key), removers.has(key)));
    }
    this.findWriters();
  }

  /**
   * @param allWritesRecorded whether the history has all writes of the group: then each revision was made by one of them
   * @param base the revision that the group began with
   */
  check(allWritesRecorded: boolean, base = 0): Violation | undefined {
    for (const { isReturn, statement } of this.moments()) {
      if (isReturn) {
        this.onReturn(statement);
      } else {
        const violation = this.onCall(statement);
        if (violation !== undefined) return violation;
      }
    }
    return allWritesRecorded ? this.checkGaps(base) : undefined;
  }

  private moments(): Moment[] {
    const moments: Moment[] = [];
    for (const statement of this.statements) {
      moments.push({ time: statement.called, isReturn: false, statement });
      if (statement.returned !== Infinity) moments.push({ time: statement.returned, isReturn: true, statement });
    }
    return moments.sort((a, b) => a.time - b.time || Number(a.isReturn) - Number(b.isReturn));
  }

  private onCall(statement: Statement): Violation | undefined {
    const { claim } = statement;
    switch (claim.type) {
      case 'set':
      case 'removed':
        return this.write(statement, claim.revision);
      case 'saw':
        return claim.revision === 0 ? this.sawNothing(statement) : this.saw(statement, claim.revision);
      case 'may_set':
      case 'may_remove': {
        const revision = this.madeBy.get(statement);
        if (revision !== undefined) return this.write(statement, revision);
        this.openPlaces.push(this.reached);
        return undefined;
      }
    }
  }

  private onReturn(statement: Statement): void {
    const place = this.places.get(statement);
    if (place === undefined || place <= this.reached) return;
    this.reached = place;
    this.reachedBy = statement;
  }

  private write(statement: Statement, revision: number): Violation | undefined {
    if (2 * revision < this.reached) {
      return this.violation(statement, `this write made revision ${revision}, but ${this.reachedText()} before it`);
    }
    this.places.set(statement, 2 * revision);
    return undefined;
  }

  private saw(statement: Statement, revision: number): Violation | undefined {
    const first = 2 * revision + 1;
    // A stale read may be late, but what it returned existed by then.
    if (isStale(statement)) {
      this.places.set(statement, first);
      return undefined;
    }
    const end = this.lines.get(statement.operation.key)?.endOf(revision);
    const place = Math.max(first, this.reached);
    if (end !== undefined && place > end.place) {
      const replaced = `revision ${end.next?.revision} had replaced`;
      const message = `this saw revision ${revision}, which ${replaced}, but ${this.reachedText()} before it`;
      return this.violation(statement, message, end.next?.witness);
    }
    this.places.set(statement, place);
    return undefined;
  }

  private sawNothing(statement: Statement): Violation | undefined {
    if (isStale(statement)) return undefined;
    const { key } = statement.operation;
    const place = this.lines.get(key)?.absentAt(this.reached) ?? Infinity;
    if (place === Infinity) {
      const last = this.table.ofKey(key).findLast(({ revision }) => 2 * revision <= this.reached);
      const message = `this found no key, but ${this.reachedText()} before it, and the key has been there since`;
      return this.violation(statement, message, last?.witness);
    }
    this.places.set(statement, place);
    return undefined;
  }

  private reachedText(): string {
    const revision = Math.floor(this.reached / 2);
    return `revision ${revision} was there at ${describeTime(this.reachedBy?.operation.returned ?? 0)}`;
  }

  private violation(statement: Statement, message: string, ...more: readonly (Statement | undefined)[]): Violation {
    const about = new Set([this.reachedBy, ...more, statement].filter((one) => one !== undefined));
    const operations = [...about].map(({ operation }) => operation);
    return { rule: 'time', key: statement.operation.key, message, operations };
  }

  /** A value that was read at a revision without a writer was set by the only open write of that value. */
  private findWriters(): void {
    const candidates = new MultiMap<Statement>();
    for (const statement of this.statements) {
      const { claim, operation } = statement;
      if (claim.type === 'may_set') candidates.add(JSON.stringify([operation.key, claim.value]), statement);
    }
    for (const { writer, value, key, revision } of this.table.all()) {
      if (writer !== undefined || value === undefined) continue;
      const [only, ...others] = candidates.of(JSON.stringify([key, value]));
      if (only !== undefined && others.length === 0) this.madeBy.set(only, revision);
    }
  }

  /** Each revision below the last known one was made by a write of the history: by an open one, if no reply names it. */
  private checkGaps(base: number): Violation | undefined {
    const open = this.openPlaces.toSorted((a, b) => a - b);
    const made = new Set(this.madeBy.values());
    let revision = base;
    let gaps = 0;
    let able = 0;
    let last: RevisionFact | undefined;
    for (const fact of [...this.table.all()].sort((a, b) => a.revision - b.revision)) {
      const isGap = fact.writer === undefined && !made.has(fact.revision);
      for (revision += 1; revision < fact.revision || (revision === fact.revision && isGap); revision++) {
        gaps += 1;
        while ((open[able] ?? Infinity) <= 2 * revision) able += 1;
        if (gaps > able) return this.gap(revision, [last, fact], gaps, able);
      }
      revision = fact.revision;
      last = fact;
    }
    return undefined;
  }

  private gap(revision: number, around: readonly (RevisionFact | undefined)[], gaps: number, able: number): Violation {
    const operations = around.filter((fact) => fact !== undefined).map(({ witness }) => witness.operation);
    const message =
      `no write was answered with revision ${revision}. Up to there ${gaps} revisions are without a known writer, and ` +
      `${able} writes of unknown outcome can have made them: a write happened more often than it was called`;
    return { rule: 'gap', key: operations.at(-1)?.key ?? '', message, operations };
  }
}
