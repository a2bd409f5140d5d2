/**
 * Searches an order of one key's operations (Wing and Gong 1993, with the memory of Lowe 2017).
 *
 * Owns the present partial order, and the state of the key after it. It is complete for one key: it finds an order if
 * there is one. Revisions make it fast: acknowledged writes have one order only, and each observed revision has its
 * place in it. So there is a choice only for operations of unknown outcome.
 *
 * Invariants:
 * 1. An operation is placed next only if no other pending one returned before it was called.
 * 2. An operation that only observes the present state is placed next at once: it excludes nothing.
 * 3. An operation of unknown outcome is placed next only if the next one needs it: otherwise the same order without it
 *    is enough.
 * 4. Of equivalent operations the one called first is placed.
 */
import { MultiMap } from './multi-map.js';
import { PendingOperations } from './pending-operations.js';
import type { RevisionFact, RevisionTable } from './revision-table.js';
import { isOpen, isStale, type Statement } from './statement.js';

/** The state of the key after some of its operations. */
interface KeyState {
  readonly isPresent: boolean;
  /** The value of an existing key; undefined: no reply names it. */
  readonly revision: number | undefined;
  /** The last write has this revision or, if no reply names it, a higher one. */
  readonly minRevision: number;
  /** The last write is of unknown outcome and not observed yet: the next operation must observe it. */
  readonly isUnseen: boolean;
}

/** A possible next step: a write, and the state after it. */
interface Move {
  /** An acknowledged write, by its place in `settled`; or an open one, by its class. */
  readonly settled: number | undefined;
  readonly openClass: OpenClass | undefined;
  readonly after: KeyState;
}

/** Equivalent open writes, ordered by their calls; the first `used` of them have happened. */
interface OpenClass {
  readonly claim: Statement['claim'];
  readonly statements: Statement[];
  used: number;
}

/** A choice that was made: its effect, and the alternatives. */
interface Choice {
  readonly moves: readonly Move[];
  next: number;
  made: Move | undefined;
  /** Operations that only observed the state before the choice, and were placed with it. */
  readonly seers: readonly number[];
}

export type SearchResult = 'found' | 'none' | 'undecided';

const nothing: KeyState = { isPresent: false, revision: undefined, minRevision: 0, isUnseen: false };

export class KeySearch {
  /** Operations visited so far. */
  work = 0;
  private readonly settled: readonly Statement[];
  private readonly left: PendingOperations;
  private readonly classes: readonly OpenClass[];
  /** Those that expect a revision which no reply names. */
  private readonly guesses: readonly OpenClass[];
  /** The known revisions of the key, by number. */
  private readonly facts: readonly RevisionFact[];
  private readonly placeOf = new Map<Statement, number>();
  /** By place and state of the search: the open writes that were used there. */
  private readonly visits = new MultiMap<readonly (readonly [OpenClass, number])[]>();

  /**
   * @param statements all of one key; stale reads are ignored
   * @param table what the replies show of revisions
   */
  constructor(
    key: string,
    statements: readonly Statement[],
    private readonly table: RevisionTable,
  ) {
    const checked = statements.filter((one) => !isStale(one)).sort((a, b) => a.called - b.called);
    this.settled = checked.filter(({ claim }) => !isOpen(claim));
    for (const [place, statement] of this.settled.entries()) this.placeOf.set(statement, place);
    this.facts = table.ofKey(key);
    this.classes = classesOf(checked, this.facts);
    this.guesses = this.classes.filter(
      ({ claim }) => claim.type === 'may_set' && !this.isReported(claim.expected ?? 0),
    );
    this.left = new PendingOperations(this.settled);
  }

  /** @param workLimit beyond it the result is `undecided` */
  run(workLimit: number): SearchResult {
    const choices: Choice[] = [];
    let state = nothing;
    for (;;) {
      const choice = this.arrive(state);
      if (choice === 'found') return 'found';
      choices.push(choice);
      for (;;) {
        if (this.work > workLimit) return 'undecided';
        const last = choices.at(-1);
        if (last === undefined) return 'none';
        if (last.made !== undefined) this.undo(last.made);
        last.made = last.moves[last.next];
        last.next += 1;
        if (last.made !== undefined) {
          state = this.make(last.made);
          break;
        }
        for (const place of last.seers.toReversed()) this.left.restoreDisk(place);
        choices.pop();
      }
    }
  }

  /** Places the operations that only observe the state, then returns the choices. */
  private arrive(state: KeyState): Choice | 'found' {
    const seers: number[] = [];
    for (let more = true; more; ) {
      more = false;
      for (const place of this.left.next()) {
        this.work += 1;
        if (!this.sees(place, state)) continue;
        this.left.take(place);
        seers.push(place);
        more = true;
      }
    }
    if (this.left.isEmpty) return 'found';
    const here = seers.length > 0 ? { ...state, isUnseen: false } : state;
    const moves = this.movesFrom(here);
    // Without a choice, remembering costs more than it saves.
    const isKnown = moves.length > 1 && !this.isNew(here);
    return { moves: isKnown ? [] : moves, next: 0, made: undefined, seers };
  }

  private sees(place: number, { isPresent, revision }: KeyState): boolean {
    const claim = this.settled[place]?.claim;
    return claim?.type === 'saw' && claim.revision === (isPresent ? revision : 0);
  }

  private make({ settled, openClass, after }: Move): KeyState {
    if (settled !== undefined) this.left.take(settled);
    if (openClass !== undefined) openClass.used += 1;
    return after;
  }

  private undo({ settled, openClass }: Move): void {
    if (settled !== undefined) this.left.restoreDisk(settled);
    if (openClass !== undefined) openClass.used -= 1;
  }

  private movesFrom(state: KeyState): Move[] {
    this.work += 1;
    const next = this.factAfter(state.minRevision);
    return [...this.settledMoves(state, next), ...this.openMoves(state, next)];
  }

  /** Returns the next known revision, if it belongs to an acknowledged write. */
  private settledMoves(state: KeyState, next: RevisionFact | undefined): Move[] {
    if (next?.writer === undefined) return [];
    const { claim, called } = next.writer;
    const settled = this.placeOf.get(next.writer);
    if (settled === undefined || called > this.left.firstReturn()) return [];
    const move = (isPresent: boolean): Move[] => [
      { settled, openClass: undefined, after: stateAt(next.revision, isPresent, false) },
    ];
    if (claim.type === 'removed') return state.isPresent ? move(false) : [];
    return claim.type === 'set' && this.canSet(state, claim.expected) ? move(true) : [];
  }

  private openMoves(state: KeyState, next: RevisionFact | undefined): Move[] {
    const moves: Move[] = [];
    const firstReturn = this.left.firstReturn();
    const free = this.table.nextFree(state.minRevision);
    const hasRoom = free < (next?.revision ?? Infinity);
    const wantsHidden = hasRoom && this.wantsHidden(state, free, next);
    for (const openClass of this.classes) {
      this.work += 1;
      const first = openClass.statements[openClass.used];
      if (first === undefined || first.called > firstReturn) continue;
      const { claim } = openClass;
      if (claim.type === 'may_remove') {
        if (hasRoom && state.isPresent && !state.isUnseen) {
          moves.push({ settled: undefined, openClass, after: stateAt(free, false, true) });
        }
      } else if (claim.type === 'may_set') {
        if (next?.writer === undefined && next !== undefined && suits(claim.value, next)) {
          if (this.canSet(state, claim.expected)) {
            moves.push({ settled: undefined, openClass, after: stateAt(next.revision, true, false) });
          }
        }
        if (wantsHidden) moves.push(...this.hiddenMoves(state, openClass, next));
      }
    }
    return moves;
  }

  /**
   * Whether a value that nobody has read can be needed: before a deletion that found the key; or before a swap of
   * unknown outcome that guessed its revision and made the next one.
   */
  private wantsHidden({ isPresent }: KeyState, free: number, next: RevisionFact | undefined): boolean {
    if (!isPresent && next?.isPresent === false) return true;
    if (next === undefined || next.writer !== undefined) return false;
    return this.guesses.some(({ claim, statements, used }) => {
      const expected = (claim.type === 'may_set' && claim.expected) || 0;
      return used < statements.length && expected >= free && expected < next.revision;
    });
  }

  /** Returns an open write that sets the key to a revision which no reply names. */
  private hiddenMoves(state: KeyState, openClass: OpenClass, next: RevisionFact | undefined): Move[] {
    const { claim } = openClass;
    if (claim.type !== 'may_set' || !this.canSet(state, claim.expected)) return [];
    const isGuess = state.isPresent && state.revision === undefined;
    const minRevision = this.table.nextFree(isGuess ? (claim.expected ?? state.minRevision) : state.minRevision);
    if (minRevision >= (next?.revision ?? Infinity)) return [];
    return [
      {
        settled: undefined,
        openClass,
        after: { isPresent: true, revision: undefined, minRevision, isUnseen: true },
      },
    ];
  }

  /** Whether a put (`expected` undefined) or a swap can happen in this state. */
  private canSet(state: KeyState, expected: number | undefined): boolean {
    if (expected === undefined) return !state.isUnseen;
    if (!state.isPresent) return expected === 0;
    if (state.revision !== undefined) return expected === state.revision;
    const next = this.factAfter(state.minRevision);
    return expected >= state.minRevision && expected < (next?.revision ?? Infinity) && !this.isReported(expected);
  }

  /** Whether the revision is known, or none. */
  private isReported(revision: number): boolean {
    return revision === 0 || this.table.has(revision);
  }

  private factAfter(revision: number): RevisionFact | undefined {
    let low = 0;
    let high = this.facts.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.facts[middle]?.revision ?? Infinity) <= revision) low = middle + 1;
      else high = middle;
    }
    return this.facts[low];
  }

  /**
   * Whether the search may succeed from here, although it has failed at this place and state before: if it failed with
   * few used open writes, it fails with the same ones and more. (The search returns only to places where it has failed:
   * each move leaves a higher last revision.)
   */
  private isNew({ isPresent, revision, minRevision, isUnseen }: KeyState): boolean {
    const here = `${this.left.position()};${isPresent},${revision},${minRevision},${isUnseen}`;
    const before = this.visits.of(here);
    if (before.some((visit) => visit.every(([one, used]) => one.used >= used))) return false;
    const used = this.classes.filter((one) => one.used > 0).map((one) => [one, one.used] as const);
    this.visits.add(here, used);
    this.work += this.classes.length + before.length;
    return true;
  }
}

function stateAt(revision: number, isPresent: boolean, isUnseen: boolean): KeyState {
  return { isPresent, revision: isPresent ? revision : undefined, minRevision: revision, isUnseen };
}

/** Whether this value can be the one that was read at a revision. */
function suits(value: string, { value: seen }: RevisionFact): boolean {
  return seen === undefined || seen === value;
}

/** Groups open writes by their effect and, if their value was read at a revision without a writer, by that. */
function classesOf(checked: readonly Statement[], facts: readonly RevisionFact[]): OpenClass[] {
  const wanted = new Set(facts.filter(({ writer }) => writer === undefined).map(({ value }) => value));
  const groups = new MultiMap<Statement>();
  for (const statement of checked) {
    const { claim } = statement;
    if (claim.type === 'may_remove') groups.add('remove', statement);
    if (claim.type !== 'may_set') continue;
    const value = wanted.has(claim.value) ? claim.value : null;
    groups.add(JSON.stringify([value, claim.expected]), statement);
  }
  // Those whose value was never read come first: nothing else needs them.
  return [...groups]
    .sort(([a], [b]) => Number(!a.startsWith('[null')) - Number(!b.startsWith('[null')))
    .map(([, statements]) => ({ claim: (statements[0] as Statement).claim, statements, used: 0 }));
}
