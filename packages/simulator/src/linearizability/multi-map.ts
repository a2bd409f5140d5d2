/** A map from names to lists. */
export class MultiMap<T> implements Iterable<[string, T[]]> {
  private readonly lists = new Map<string, T[]>();

  add(name: string, item: T): void {
    const list = this.lists.get(name);
    if (list === undefined) this.lists.set(name, [item]);
    else list.push(item);
  }

  of(name: string): readonly T[] {
    return this.lists.get(name) ?? [];
  }

  [Symbol.iterator](): IterableIterator<[string, T[]]> {
    return this.lists.entries();
  }
}
