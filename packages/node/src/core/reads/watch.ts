/** One watch of a leader, and what its owner and its selector are. */
import type { Encoding } from '@conclave/protocol';

export interface Watch {
  readonly watchId: string;
  readonly selector: unknown;
  readonly encoding: Encoding;
  /** Whether it is caught up: then it is at the same revision as all others that are. */
  isCurrent: boolean;
  /** Of a watch that is not caught up: the first revision that has not been looked up. */
  next: number;
  /** The last revision that a published message covers. */
  coveredUpTo: number;
  /** The bytes published since it was last renewed. */
  unread: number;
  askedMs: number;
  publishedMs: number;
  /** When NATS reported, first and last, that nobody is subscribed; undefined: not lately. */
  unsubscribed: { readonly firstMs: number; readonly lastMs: number } | undefined;
}

/** Returns the owner of a watch; empty: its id names none, as ids of older clients do. */
export function ownerOf(watchId: string): string {
  return watchId.slice(0, Math.max(0, watchId.indexOf('.')));
}

/**
 * Returns whether two selectors certainly differ. A value that is not plain (a function, an object of a class) is not compared.
 */
export function isOtherSelector(one: unknown, other: unknown): boolean {
  if (Object.is(one, other)) return false;
  if (typeof one !== typeof other) return true;
  if (typeof one === 'function') return false;
  if (typeof one !== 'object' || one === null || other === null) return true;
  const [ones, others] = [one as Record<string, unknown>, other as Record<string, unknown>];
  const prototype: unknown = Object.getPrototypeOf(one);
  if (prototype !== Object.getPrototypeOf(other)) return true;
  if (prototype !== Object.prototype && !Array.isArray(one)) return false;
  const names = Object.keys(ones);
  return names.length !== Object.keys(others).length || names.some((name) => isOtherSelector(ones[name], others[name]));
}
