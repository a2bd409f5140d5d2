/** Rows ordered by key. Most are added and deleted at the end. */
import type { Row } from '@conclave/log-store';

export class SortedRows {
  private readonly rows: Row[] = [];

  put(key: string, value: Uint8Array): void {
    const row = { key, value };
    const last = this.rows.at(-1);
    if (last === undefined || last.key < key) {
      this.rows.push(row);
      return;
    }
    const place = this.placeOf(key);
    this.rows.splice(place, this.rows[place]?.key === key ? 1 : 0, row);
  }

  delete(key: string): void {
    const place = this.placeOf(key);
    if (this.rows[place]?.key === key) this.rows.splice(place, 1);
  }

  /** Deletes the keys from `from` on and before `before`. */
  deleteRange(from: string, before: string): void {
    const place = this.placeOf(from);
    this.rows.splice(place, Math.max(this.placeOf(before) - place, 0));
  }

  at(key: string): Row | undefined {
    const row = this.rows[this.placeOf(key)];
    return row?.key === key ? row : undefined;
  }

  all(): readonly Row[] {
    return this.rows;
  }

  last(): Row | undefined {
    return this.rows.at(-1);
  }

  lastBefore(key: string): Row | undefined {
    return this.rows[this.placeOf(key) - 1];
  }

  keysFrom(key: string): string[] {
    return this.rows.slice(this.placeOf(key)).map((row) => row.key);
  }

  /** Returns up to `most` rows, from the last one at or before the key on. */
  from(key: string, maxCount: number): Row[] {
    const place = this.placeOf(key);
    const first = this.rows[place]?.key === key ? place : Math.max(place - 1, 0);
    return this.rows.slice(first, first + maxCount);
  }

  /** Returns the position of the first row that is not before the key. */
  private placeOf(key: string): number {
    let [low, high] = [0, this.rows.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.rows[middle] as Row).key < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
