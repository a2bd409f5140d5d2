/**
 * Finds the few operations of a key that have no order, among many: to show to people. Takes away what the others
 * claim as long as there is still no order; an order of all would be one of those that are left, too.
 */
import { KeySearch } from './key-search.js';
import { RevisionTable } from './revision-table.js';
import { isOpen, type Statement, weakened } from './statement.js';

/** How much may be looked at to narrow down one history: past it what is left is shown. */
const narrowingWork = 20_000_000;

export class HistoryMinimizer {
  private work = 0;

  /** @param taken the revisions that are known to be of other keys. */
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
        const open = without.map(weakened).filter((one) => one !== undefined);
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

  /** The history up to the first return by which there is no order. */
  private withFirstEnd(statements: readonly Statement[]): readonly Statement[] {
    const returns = [...new Set(statements.map(({ returned }) => returned))].filter(Number.isFinite);
    const histories = returns.toSorted((a, b) => b - a).map((time) => () => upTo(statements, time));
    return this.lastWithoutOrder(statements, histories);
  }

  /** The history from the last write on from which there is still no order. */
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

  /** The last of these ever shorter histories that has no order; the whole one where none of them is known to have none. */
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

/** What is known at this time: what was not called is not there, and what has not returned is open. */
function upTo(statements: readonly Statement[], time: number): Statement[] {
  return statements
    .filter(({ called }) => called <= time)
    .map((one) => (one.returned <= time ? one : weakened(one)))
    .filter((one) => one !== undefined);
}

/**
 * What must come after the write of this revision, and that write, whatever was there before it. (A read of no key can
 * have been before it unless it was called later.)
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
