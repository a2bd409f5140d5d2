/** The queries of the state machine and their results: between the service and the state machine of one peer. */
import type { ChangesPage } from '@conclave/actor/core';
import type { LeaseId, PublicLeaseId, Value } from '@conclave/protocol';

/** Keys to read atomically. */
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

/** A lease with a page of its keys. */
export interface LeaseQuery {
  readonly type: 'lease';
  readonly leaseId: LeaseId;
  /** Empty: from the first one on. */
  readonly startAfter: string;
  readonly limit: number;
}

/** A page of the leases. */
export interface LeasesQuery {
  readonly type: 'leases';
  /** 0: from the first one on. */
  readonly startAfter: PublicLeaseId | 0;
  readonly limit: number;
}

export interface LockQuery {
  readonly type: 'lock';
  readonly name: string;
}

/** A page of the locks. */
export interface LocksQuery {
  readonly type: 'locks';
  /** Empty: from the first one on. */
  readonly startAfter: string;
  readonly limit: number;
}

/** The recent changes of the keys with a prefix. */
export interface ChangesQuery {
  readonly type: 'changes';
  readonly prefix: string;
  /** The first revision. */
  readonly from: number;
  readonly limit: number;
}

export type KvQuery = KeysQuery | RangeQuery | LeaseQuery | LeasesQuery | LockQuery | LocksQuery | ChangesQuery;

/** A value and its revision; `[null, 0]`: there is none. */
export type FoundValue = readonly [Value | null, number];

/** A key, its value (null if only keys are wanted) and its revision. */
export type FoundKey = readonly [string, Value | null, number];

export interface RangePage {
  readonly found: readonly FoundKey[];
  /** Whether there are more keys after the last one. */
  readonly more: boolean;
  /** The group's, as of this page. */
  readonly revision: number;
}

export interface LeaseKeysPage {
  /** The public part of its id. */
  readonly name: PublicLeaseId;
  /** The remaining time, by the leader's clock; null: another peer replies. */
  readonly remainingMs: number | null;
  /** 0: there is no such lease. */
  readonly ttlMs: number;
  readonly keys: readonly string[];
  readonly more: boolean;
}

/** Public part of the id, time, number of keys. */
export type LeaseFound = readonly [PublicLeaseId, number, number];

export interface LeasesPage {
  readonly leases: readonly LeaseFound[];
  readonly more: boolean;
}

export interface LockFound {
  /** Null: nobody. */
  readonly holder: { readonly owner: string; readonly leaseId: PublicLeaseId; readonly token: number } | null;
  /** How many wait. */
  readonly waiting: number;
}

/** Name, owner, public part of the id of the holder's lease, token, and how many wait. */
export type LockRow = readonly [string, string, PublicLeaseId, number, number];

export interface LocksPage {
  readonly locks: readonly LockRow[];
  readonly more: boolean;
}

export interface ChangesFound {
  /** The first revision whose change is kept, and the last one. */
  readonly first: number;
  readonly revision: number;
  /** Undefined: the requested revisions are no longer kept. */
  readonly page: ChangesPage | undefined;
}

/** The result of each kind of query. Of keys: for the first ones, as many as fit in a reply, at least one. */
export interface KvFindings {
  readonly keys: readonly FoundValue[];
  readonly range: RangePage;
  readonly lease: LeaseKeysPage;
  readonly leases: LeasesPage;
  readonly lock: LockFound;
  readonly locks: LocksPage;
  readonly changes: ChangesFound;
}
