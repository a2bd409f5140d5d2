/** What the page reads of keys, leases and locks: a port, as only a live group has them. */

/** Bytes are base64. */
export interface KeyValue {
  readonly key: string;
  readonly value: string;
  readonly revision: number;
  readonly bytes: number;
  /** The public part of the lease that the key is tied to, as far as known. */
  readonly lease?: string | undefined;
}

export interface KeyPage {
  readonly keys: readonly { readonly key: string; readonly revision: number }[];
  readonly more: boolean;
  readonly revision: number;
}

export interface LeaseRow {
  readonly lease: string;
  readonly ttlMs: number;
  /** Null: unknown. */
  readonly remainingMs: number | null;
  readonly keys: readonly string[];
}

export interface LockRow {
  readonly name: string;
  readonly owner: string;
  readonly lease: string;
  readonly token: number;
  readonly waiting: number;
  readonly remainingMs: number | null;
}

/** All methods throw ConclaveError: EPERM if NATS does not permit this login to read keys. */
export interface KeyReader {
  /** A page of the keys with a prefix, after a key. */
  list(prefix: string, after: string | undefined): Promise<KeyPage>;
  /** Undefined: the key does not exist. */
  get(key: string): Promise<KeyValue | undefined>;
  leases(): Promise<readonly LeaseRow[]>;
  locks(): Promise<readonly LockRow[]>;
  /** The value of a key now, and whenever it changes, until the signal; undefined: the key does not exist. */
  watch(key: string, signal: AbortSignal): AsyncIterable<KeyValue | undefined>;
}
