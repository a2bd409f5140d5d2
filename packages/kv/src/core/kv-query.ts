/** What the state machine is asked, and what it finds: between the door and the state machine of one peer. */
import type { Value } from '@conclave/protocol';

/** Keys to read at one moment. */
export interface KeysQuery {
  readonly type: 'keys';
  readonly keys: readonly string[];
}

/** A page of the keys with a prefix. */
export interface RangeQuery {
  readonly type: 'range';
  readonly prefix: string;
  readonly startAfter?: string | undefined;
  readonly limit: number;
  readonly keysOnly: boolean;
}

export type KvQuery = KeysQuery | RangeQuery;

/** A value and its revision; `[null, 0]` where there is none. */
export type FoundValue = readonly [Value | null, number];

/** A key, its value (null where keys alone are wanted) and its revision. */
export type FoundKey = readonly [string, Value | null, number];

export interface RangePage {
  readonly found: readonly FoundKey[];
  /** Whether there are more keys behind the last one. */
  readonly more: boolean;
  /** The group's, as of this page. */
  readonly revision: number;
}

/** What each kind of query finds. Of keys: for the first ones, as many as an answer may hold, one at least. */
export interface KvFindings {
  readonly keys: readonly FoundValue[];
  readonly range: RangePage;
}
