/**
 * What the replies of a history show of each revision of the group: its key, its writer, and its value.
 *
 * Owns the facts. Ignores times: what it finds wrong is wrong whenever it happened.
 *
 * Invariants:
 * 1. A revision has one fact; if two replies differ about it, the first is kept and a violation is recorded.
 * 2. A fact without a writer is of a revision that was read and that only an open write (unknown) can have made.
 */
import { MultiMap } from './multi-map.js';
import type { Operation, Rule, Violation } from './operation.js';
import type { Claim, Statement } from './statement.js';

export interface RevisionFact {
  readonly revision: number;
  readonly key: string;
  /** Whether the key existed then: false for a deletion. */
  readonly isPresent: boolean;
  /** The operation that wrote the revision, according to its reply. */
  readonly writer: Statement | undefined;
  /** Undefined: no reply names it. */
  value: string | undefined;
  /** The first operation that named it. */
  readonly witness: Statement;
}

export class RevisionTable {
  readonly violations: Violation[] = [];
  private readonly facts = new Map<number, RevisionFact>();
  private readonly byKey = new MultiMap<RevisionFact>();
  /** By revision that is not free: the next one that is. Filled on demand. */
  private readonly freeAfter = new Map<number, number>();

  /** @param taken further revisions of other keys */
  constructor(
    private readonly statements: readonly Statement[],
    private readonly taken: ReadonlySet<number> = new Set(),
  ) {
    for (const statement of statements) this.recordReply(statement);
    for (const statement of statements) if (isWrite(statement.claim)) this.readWrite(statement);
    for (const statement of statements) this.readSeen(statement);
    for (const [, facts] of this.byKey) facts.sort((a, b) => a.revision - b.revision);
    this.checkOrigins();
  }

  get(revision: number): RevisionFact | undefined {
    return this.facts.get(revision);
  }

  has(revision: number): boolean {
    return this.facts.has(revision) || this.taken.has(revision);
  }

  all(): IterableIterator<RevisionFact> {
    return this.facts.values();
  }

  /** Returns the facts of one key, by revision. */
  ofKey(key: string): readonly RevisionFact[] {
    return this.byKey.of(key);
  }

  /** Returns the first revision above this one that no reply names. */
  nextFree(above: number): number {
    const passed: number[] = [];
    let free = above + 1;
    while (this.has(free)) {
      const known = this.freeAfter.get(free);
      if (known === undefined) passed.push(free);
      free = known ?? free + 1;
    }
    for (const revision of passed) this.freeAfter.set(revision, free);
    return free;
  }

  private note(rule: Rule, message: string, ...about: readonly Statement[]): void {
    const operations = about.map(({ operation }) => operation);
    const [first] = operations;
    if (first !== undefined) this.violations.push({ rule, key: first.key, message, operations });
  }

  /** Records what one reply shows. */
  private recordReply(statement: Statement): void {
    const { operation } = statement;
    if (operation.outcome !== 'done') return;
    const fault = faultOf(operation);
    if (fault !== undefined) this.note('answer', fault, statement);
  }

  private readWrite(statement: Statement): void {
    const { claim } = statement;
    if (claim.type !== 'set' && claim.type !== 'removed') return;
    const before = this.facts.get(claim.revision);
    if (before !== undefined) {
      this.note('revision', `two writes were answered with revision ${claim.revision}`, before.witness, statement);
      return;
    }
    const isPresent = claim.type === 'set';
    this.add(claim.revision, statement, { writer: statement, isPresent, value: isPresent ? claim.value : undefined });
  }

  private readSeen(statement: Statement): void {
    const { claim } = statement;
    if (claim.type === 'saw' && claim.revision > 0) this.see(claim.revision, claim.value, statement);
    if (claim.type === 'set' && claim.expected) this.see(claim.expected, undefined, statement);
  }

  /** Records a read of the key with this revision and, if the reply has it, this value. */
  private see(revision: number, value: string | undefined, statement: Statement): void {
    const fact = this.facts.get(revision);
    if (fact === undefined) return this.add(revision, statement, { writer: undefined, isPresent: true, value });
    const { key } = statement.operation;
    if (fact.key !== key) {
      const message = `revision ${revision} is reported for two keys, ${fact.key} and ${key}`;
      return this.note('revision', message, statement, fact.witness);
    }
    if (!fact.isPresent) {
      const message = `revision ${revision} deleted the key, and yet was found on it`;
      return this.note('revision', message, fact.witness, statement);
    }
    if (value === undefined) return;
    fact.value ??= value;
    if (fact.value !== value) {
      this.note('revision', `revision ${revision} is reported with two values`, fact.witness, statement);
    }
  }

  private add(revision: number, witness: Statement, what: Pick<RevisionFact, 'writer' | 'isPresent' | 'value'>): void {
    const { key } = witness.operation;
    const fact = { ...what, revision, key, witness };
    this.facts.set(revision, fact);
    this.byKey.add(key, fact);
  }

  /** Each value that was read at a revision without a writer needs an open write of its own that can have set it. */
  private checkOrigins(): void {
    const orphans = [...this.facts.values()].filter(({ writer, value }) => writer === undefined && value !== undefined);
    if (orphans.length === 0) return;
    const writers = new MultiMap<Statement>();
    for (const statement of this.statements) {
      const { operation, claim } = statement;
      if (claim.type === 'may_set') writers.add(idOf(operation.key, claim.value), statement);
    }
    const groups = new MultiMap<RevisionFact>();
    for (const fact of orphans) groups.add(idOf(fact.key, fact.value), fact);
    for (const [id, facts] of groups) {
      const candidates = writers.of(id);
      if (candidates.length < facts.length) this.recordOrphans(facts, candidates);
    }
  }

  private recordOrphans(facts: readonly RevisionFact[], writers: readonly Statement[]): void {
    const witnesses = facts.map(({ witness }) => witness);
    const at = facts.map(({ revision }) => revision).join(' and ');
    const [fact] = facts;
    if (fact === undefined) return;
    const done = this.statements.filter(
      ({ operation, claim }) => operation.key === fact.key && claim.type === 'set' && claim.value === fact.value,
    );
    const one = JSON.stringify(fact.value);
    if (done.length + writers.length > 0) {
      const message = `${one} was read at revision ${at}: a write of it happened more often than it was called`;
      this.note('origin', message, ...done, ...writers, ...witnesses);
    } else {
      this.note(
        'origin',
        `${one} was read at revision ${at}, and no write that may have happened put it there`,
        ...witnesses,
      );
    }
  }
}

function isWrite({ type }: Claim): boolean {
  return type === 'set' || type === 'removed';
}

function idOf(key: string, value: string | undefined): string {
  return JSON.stringify([key, value]);
}

/** Returns what is wrong with a reply by itself. */
function faultOf(operation: Extract<Operation, { outcome: 'done' }>): string | undefined {
  const { revision } = operation.reply;
  switch (operation.name) {
    case 'put':
      return revision > 0 ? undefined : 'a put has a revision above 0';
    case 'get':
      return (operation.reply.value === null) === (revision === 0)
        ? undefined
        : 'a read finds a value and a revision above 0, or neither';
    case 'delete':
      return operation.reply.deleted === revision > 0
        ? undefined
        : 'a deletion has a revision above 0 if, and only if, the key was there';
    case 'cas':
      if (operation.reply.swapped) {
        return revision > operation.expectedRevision ? undefined : 'a swap makes a revision above the one it expects';
      }
      return revision === operation.expectedRevision ? 'a swap was refused on the revision that it expects' : undefined;
  }
}
