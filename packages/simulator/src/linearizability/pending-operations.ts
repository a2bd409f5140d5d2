/**
 * The operations that have no place in the order yet: their calls and returns by time, as a list from which any
 * operation can be removed, and restored in the opposite order (Knuth's dancing links).
 */
import type { Statement } from './statement.js';

/** The sentinel before the first node and after the last one. */
const end = 0;

export class PendingOperations {
  /** By node: its neighbours. Operation i is called at node 2i + 1 and returns at node 2i + 2. */
  private readonly after: Int32Array;
  private readonly before: Int32Array;

  /** @param operations in the order of their calls; each returns. */
  constructor(private readonly operations: readonly Statement[]) {
    const nodes = operations.flatMap((_, place) => [2 * place + 1, 2 * place + 2]);
    // At equal times calls come before returns: those operations are concurrent.
    nodes.sort((a, b) => this.timeOf(a) - this.timeOf(b) || (b & 1) - (a & 1) || a - b);
    this.after = new Int32Array(nodes.length + 1);
    this.before = new Int32Array(nodes.length + 1);
    let last = end;
    for (const node of nodes) {
      this.link(last, node);
      last = node;
    }
    this.link(last, end);
  }

  get isEmpty(): boolean {
    return this.after[end] === end;
  }

  /** Returns the places of those that can be next: no other pending one returned before they were called. */
  next(): number[] {
    const places: number[] = [];
    for (let node = this.following(end); isCall(node); node = this.following(node)) places.push((node - 1) >> 1);
    return places;
  }

  /** Returns when the first pending operation returns; infinite if none does. */
  firstReturn(): number {
    const node = this.firstReturnNode();
    return node === end ? Infinity : this.timeOf(node);
  }

  /** Returns a short key of what is pending: all removed ones were called before the first return of a pending one. */
  position(): string {
    return `${this.firstReturnNode()}:${this.next().join()}`;
  }

  take(place: number): void {
    this.unlink(2 * place + 1);
    this.unlink(2 * place + 2);
  }

  /** Restores the one that was removed last. */
  restoreDisk(place: number): void {
    this.relink(2 * place + 2);
    this.relink(2 * place + 1);
  }

  private timeOf(node: number): number {
    const operation = this.operations[(node - 1) >> 1];
    return (isCall(node) ? operation?.called : operation?.returned) ?? Infinity;
  }

  private firstReturnNode(): number {
    let node = this.following(end);
    while (isCall(node)) node = this.following(node);
    return node;
  }

  private following(node: number): number {
    return this.after[node] ?? end;
  }

  private link(first: number, second: number): void {
    this.after[first] = second;
    this.before[second] = first;
  }

  private unlink(node: number): void {
    this.link(this.before[node] ?? end, this.following(node));
  }

  private relink(node: number): void {
    this.after[this.before[node] ?? end] = node;
    this.before[this.following(node)] = node;
  }
}

function isCall(node: number): boolean {
  return (node & 1) === 1;
}
