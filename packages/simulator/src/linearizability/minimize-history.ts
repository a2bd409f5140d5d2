/**
 * Finds a few operations of a key that have no order, among many: to show to people. It removes operations as long as
 * the rest still has no order; an order of all would be an order of the rest, too.
 */
import { KeySearch } from './key-search.js';
import { RevisionTable } from './revision-table.js';
import { isOpen, type Statement, withUnknownOutcome } from './statement.js';

/** How many operations may be visited for one history: beyond it the present rest is reported. */
const narrowingWork = 20_000_000;

export class HistoryMinimizer {
  private work = 0;

  /** @param taken the revisions of other keys */
  constructor(
    private readonly key: string,
    private readonly taken: ReadonlySet<number>,
  ) {}

  /**
   * @param statements of the key; known to have no order
   * @returns some of them that have none either, whatever the others did
   */
  minimize(statements: readonly Statement[]): Statement[] {
    const window = this.withLatestStart(this.withFirstEnd(statements));
    let kept = window.filter(({ claim }) => !isOpen(claim));
    const rest = new Set(window.filter(({ claim }) => isOpen(claim)));
    for (let size = Math.ceil(kept.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
      for (let from = 0; from < kept.length; ) {
        const without = kept.slice(from, from + size);
        const others = kept.toSpliced(from, size);
        const open = without.map(withUnknownOutcome).filter((one) => one !== undefined);
        if (this.hasNoOrder([...others, ...rest, ...open])) {
          kept = others;
          for (const one of open) rest.add(one);
        } else {
          from += size;
        }
      }
    }
    return kept;
  }

  /** Returns the history up to the first return after which there is no order. */
  private withFirstEnd(statements: readonly Statement[]): readonly Statement[] {
    const returns = [...new Set(statements.map(({ returned }) => returned))].filter(Number.isFinite);
    const histories = returns.toSorted((a, b) => b - a).map((time) => () => upTo(statements, time));
    return this.lastWithoutOrder(statements, histories);
  }

  /** Returns the history from the last write on that still has no order. */
  private withLatestStart(statements: readonly Statement[]): readonly Statement[] {
    const histories = statements
      .flatMap((one) => (one.claim.type === 'set' ? [{ ...one, claim: one.claim }] : []))
      .sort((a, b) => a.claim.revision - b.claim.revision)
      .map(
        ({ claim, returned }) =>
          () =>
            from(statements, claim.revision, returned),
      );
    return this.lastWithoutOrder(statements, histories);
  }

  /** Returns the last of these shorter and shorter histories that has no order; the whole one if none is known to have none. */
  private lastWithoutOrder(
    whole: readonly Statement[],
    histories: readonly (() => readonly Statement[])[],
  ): readonly Statement[] {
    let last = whole;
    let low = 0;
    let high = histories.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const history = histories[middle]?.() ?? whole;
      if (this.hasNoOrder(history)) {
        last = history;
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return last;
  }

  private hasNoOrder(statements: readonly Statement[]): boolean {
    if (this.work > narrowingWork) return false;
    const table = new RevisionTable(statements, this.taken);
    const search = new KeySearch(this.key, statements, table);
    const result = search.run(narrowingWork - this.work);
    this.work += search.work + statements.length;
    return result === 'none';
  }
}

/** Returns what is known at this time: later calls are left out, and calls that have not returned are open. */
function upTo(statements: readonly Statement[], time: number): Statement[] {
  return statements
    .filter(({ called }) => called <= time)
    .map((one) => (one.returned <= time ? one : withUnknownOutcome(one)))
    .filter((one) => one !== undefined);
}

/**
 * Returns the write of this revision and what must come after it, independent of the state before. (A read of a missing
 * key may have been before it unless it was called later.)
 */
function from(statements: readonly Statement[], revision: number, returned: number): Statement[] {
  return statements.map((one) => fromWrite(one, revision, returned)).filter((one) => one !== undefined);
}

function fromWrite(one: Statement, revision: number, returned: number): Statement | undefined {
  const { claim } = one;
  switch (claim.type) {
    case 'may_set':
    case 'may_remove':
      return one;
    case 'removed':
      return claim.revision > revision ? one : undefined;
    case 'set':
      if (claim.revision === revision) return { ...one, claim: { ...claim, expected: undefined } };
      return claim.revision > revision ? one : undefined;
    case 'saw':
      return claim.revision >= revision || (claim.revision === 0 && one.called > returned) ? one : undefined;
  }
}
