/** The operations of the key-value store: requests and replies. */
import { z } from 'zod';
import { LeaseId, PublicLeaseId } from './lease-id.js';
import { limits } from './limits.js';
import { Bytes, Count, GroupUid } from './types.js';
import { WatchId } from './watch.js';

/**
 * Whether the text contains no lone surrogate. JSON can carry one, UTF-8 cannot: the states of the leader and of its followers would
 * differ.
 */
export function isWellFormed(text: string): boolean {
  // Every Node that Conclave runs on has this method; the library of ES2023 does not declare it.
  return (text as string & { isWellFormed(): boolean }).isWellFormed();
}

export const Key = z
  .string()
  .min(1)
  .refine((key) => Buffer.byteLength(key) <= limits.keyBytes, `a key has at most ${limits.keyBytes} bytes`)
  .refine(isWellFormed, 'a key has no lone surrogates');

/** A prefix of keys; empty: all of them. */
export const KeyPrefix = z
  .string()
  .refine((prefix) => Buffer.byteLength(prefix) <= limits.keyBytes, `a prefix has at most ${limits.keyBytes} bytes`)
  .refine(isWellFormed, 'a prefix has no lone surrogates');

/** Text, or binary if the request is msgpack. */
export const Value = z
  .union([z.string(), Bytes])
  .refine(
    (value) => (typeof value === 'string' ? Buffer.byteLength(value) : value.length) <= limits.valueBytes,
    `a value has at most ${limits.valueBytes} bytes`,
  )
  .refine((value) => typeof value !== 'string' || isWellFormed(value), 'a value has no lone surrogates');
export type Value = z.infer<typeof Value>;

/** The write of the group that last changed a key: 1 for the first write; 0: the key does not exist. */
export const Revision = Count;

/** The revision of the group at which a lock was acquired: higher than all before. */
export const Token = z.number().int().min(1);

const Ttl = z.number().int().min(limits.leaseMinMs).max(limits.leaseMaxMs);

/** The most items of one page. */
const Limit = z.number().int().min(1).max(limits.rangeKeys).optional();

/** The holder of a lock, as it names itself. */
export const Owner = z
  .string()
  .min(1)
  .refine((owner) => Buffer.byteLength(owner) <= limits.ownerBytes, `an owner has at most ${limits.ownerBytes} bytes`)
  .refine(isWellFormed, 'an owner has no lone surrogates');

/**
 * `linearizable`: confirmed by a quorum. `lease`: linearizable as long as the rates of the peers' monotonic clocks differ by less than
 * a tenth, by the leader lease without a quorum. `stale`: the state of the replying peer.
 */
export const Consistency = z.enum(['linearizable', 'lease', 'stale']);
export type Consistency = z.infer<typeof Consistency>;

/**
 * A session of `open_session`: text or a number. From feature level 1 on nobody can guess it: the text has 128 random bits, the number
 * has 53.
 */
export const ClientId = z.union([Count, z.string().min(1).max(limits.idBytes)]);
export type ClientId = z.infer<typeof ClientId>;

/** Makes a write happen once however often it is sent: a session of `open_session` and the call's number in it. */
const once = {
  client_id: ClientId.optional(),
  sequence: z.number().int().min(1).optional(),
  /** The client has received all replies up to this number: their results need not be kept. */
  acknowledged: Count.optional(),
};

const Relation = z.enum(['=', '!=', '<', '>']);

/**
 * A condition of a transaction: a key, its `revision` or its `value`, a relation, and the value to compare with; or a `lock` by its
 * name, whose token is compared, 0 if nobody holds it. Values are compared as bytes, text as its UTF-8. A key that does not exist has
 * revision 0, and no value: every comparison with its value is false.
 */
export const Comparison = z.union([
  z.tuple([Key, z.literal('revision'), Relation, Revision]),
  z.tuple([Key, z.literal('value'), Relation, Value]),
  z.tuple([Key, z.literal('lock'), Relation, Count]),
]);
export type Comparison = z.infer<typeof Comparison>;

/** The operations of a transaction, in order; a `get` reads what those before it have written. */
export const Operation = z.union([
  z.tuple([z.literal('put'), Key, Value]),
  /** Tied to a lease. */
  z.tuple([z.literal('put'), Key, Value, LeaseId]),
  z.tuple([z.literal('delete'), Key]),
  z.tuple([z.literal('get'), Key]),
]);
export type Operation = z.infer<typeof Operation>;

/** Their results: the revision of a put, and of a delete with whether the key existed; what a get read. */
export const OperationResult = z.union([
  z.tuple([z.literal('put'), Revision]),
  z.tuple([z.literal('delete'), Revision, z.boolean()]),
  z.tuple([z.literal('get'), Value.nullable(), Revision]),
]);
export type OperationResult = z.infer<typeof OperationResult>;

const Comparisons = z.array(Comparison).max(limits.transactionParts);
const Operations = z.array(Operation).max(limits.transactionParts);

/** One write of a `batch`: its number in the client's session, then the operation. */
export const Command = z.union([
  z.tuple([Count, z.literal('put'), Key, Value]),
  /** Tied to a lease. */
  z.tuple([Count, z.literal('put'), Key, Value, LeaseId]),
  z.tuple([Count, z.literal('delete'), Key]),
  z.tuple([Count, z.literal('cas'), Key, Value, Revision]),
  /** The comparisons, the operations if all of them hold, and the operations otherwise. */
  z.tuple([Count, z.literal('txn'), Comparisons, Operations, Operations]),
  z.tuple([Count, z.literal('lease_grant'), Ttl]),
  z.tuple([Count, z.literal('lease_keep'), LeaseId]),
  z.tuple([Count, z.literal('lease_revoke'), LeaseId]),
  /** Without the secret part of the id, by force. */
  z.tuple([Count, z.literal('lease_revoke'), LeaseId, z.literal('force')]),
  /** Name, owner, lease, and whether to wait in the queue. */
  z.tuple([Count, z.literal('lock'), Key, Owner, LeaseId, z.boolean()]),
  /** Name and token; enough if the holder's lease has no secret. */
  z.tuple([Count, z.literal('unlock'), Key, Token]),
  /** The holder's lease, or by force. */
  z.tuple([Count, z.literal('unlock'), Key, Token, z.union([LeaseId, z.literal('force')])]),
]);
export type Command = z.infer<typeof Command>;

/** A command in the log: from feature level 1 on, a granted lease has the secret that the leader generated. */
export type EntryCommand = Command | readonly [number, 'lease_grant', number, string];

export const CommandResult = z.union([
  /**
   * Done: the revision of the write (of a delete without effect, and of a refused cas: the key's own), and whether it changed
   * anything. Instead of the revision a `lease_grant` has the id of the lease, a `lease_keep` its time, a `lock` the token (0: not
   * acquired), and a `lease_revoke` or `unlock` the group's revision after it.
   */
  z.tuple([z.literal('done'), Revision, z.boolean()]),
  /** A granted lease, from feature level 1 on: its id. */
  z.tuple([z.literal('done'), LeaseId, z.boolean()]),
  /** A transaction, done: the group's revision after it, whether the comparisons held, and the results of that branch. */
  z.tuple([z.literal('done'), Revision, z.boolean(), z.array(OperationResult)]),
  /** Not done: a code and a sentence. */
  z.tuple([z.literal('not_done'), z.string(), z.string()]),
  /** Unknown: the session or its results are gone. */
  z.tuple([z.literal('unknown'), z.string(), z.string()]),
]);
export type CommandResult = z.infer<typeof CommandResult>;

/** A write that changed something: its revision, the operation, the key; of a put the value, and the lease if it is tied to one. */
export const KeyChange = z.union([
  z.tuple([Revision, z.literal('put'), Key, Value]),
  z.tuple([Revision, z.literal('put'), Key, Value, PublicLeaseId]),
  z.tuple([Revision, z.literal('delete'), Key]),
]);
export type KeyChange = z.infer<typeof KeyChange>;

const Found = z.object({
  key: Key,
  value: Value.nullable(),
  revision: Revision,
  /** In JSON, of text that would not fit into a message: its UTF-8 in base64; then `value` is null. */
  value_base64: z.string().optional(),
});

/** In JSON, of text that would not fit into a message: its place and its UTF-8 in base64; then the value at that place is null. */
const base64 = z.array(z.tuple([Count, z.string()])).optional();

/** In each request: the history that it is for. In another one it is refused with EHISTORY, and not done. */
const inHistory = { group_uid: GroupUid.optional() };

/** In replies with something that later requests name: the history that it belongs to. Peers of level 0 do not report it. */
const ofHistory = { group_uid: GroupUid.optional() };

/** An operation; a request with an unknown field is refused, as its sender relies on the field. */
function operation<Shape extends z.ZodRawShape, Reply extends z.ZodType>(
  purpose: string,
  request: z.ZodObject<Shape>,
  reply: Reply,
) {
  return { purpose, request: request.extend(inHistory).strict(), reply };
}

export const kvOperations = {
  put: operation(
    'sets a key. With `lease_id` it is deleted when that lease ends; each write of a key unties it from its earlier lease',
    z.object({ key: Key, value: Value, lease_id: LeaseId.optional(), ...once }),
    z.object({ revision: Revision }),
  ),
  get: operation(
    'reads a key; value null and revision 0: it does not exist',
    z.object({ key: Key, consistency: Consistency.optional() }),
    Found,
  ),
  delete: operation(
    'deletes a key',
    z.object({ key: Key, ...once }),
    z.object({ deleted: z.boolean(), revision: Revision }),
  ),
  cas: operation(
    'sets a key if it has this revision (0: if it does not exist)',
    z.object({ key: Key, value: Value, expected_revision: Revision, ...once }),
    z.object({ swapped: z.boolean(), revision: Revision }),
  ),
  txn: operation(
    'executes a transaction atomically: `then` if all comparisons hold, otherwise `else`. Each write in it has a revision of its own, in order; `revision` is the group’s after the transaction',
    z.object({ compare: Comparisons, then: Operations, else: Operations.optional(), ...once }),
    z.object({ succeeded: z.boolean(), revision: Revision, results: z.array(OperationResult), base64 }),
  ),
  lease_grant: operation(
    'grants a lease, to which keys and locks can be tied; its id is a secret of its holder. A lease that is not kept alive for `ttl_ms` ends, and its keys are deleted and its locks released: not earlier, by the monotonic clock of the leader, and at most about two seconds later. A new leader continues with the remaining time in the log; at feature level 0 with the full time',
    z.object({ ttl_ms: Ttl, ...once }),
    z.object({ lease_id: LeaseId, ttl_ms: Ttl, ...ofHistory }),
  ),
  lease_keep: operation(
    'restores the whole time of a lease; ENOENT: it has ended; EHISTORY: an earlier history of the group granted it',
    z.object({ lease_id: LeaseId, ...once }),
    z.object({ lease_id: LeaseId, ttl_ms: Ttl, ...ofHistory }),
  ),
  lease_revoke: operation(
    'ends a lease, deletes its keys and releases its locks; `revoked` false: no lease has that id. With `force` the number of the lease suffices, and the event `lease_forced` is published',
    z.object({ lease_id: LeaseId, force: z.boolean().optional(), ...once }),
    z.object({ revoked: z.boolean(), revision: Revision }),
  ),
  lease_get: operation(
    'returns a lease: its time (0: no lease has that id), its remaining time by the clock of the leader (null: the peer that replies does not lead), and its keys, in order, by pages. The reply contains only its number, which is enough for this request',
    z.object({ lease_id: LeaseId, start_after: Key.optional(), limit: Limit, consistency: Consistency.optional() }),
    z.object({
      lease_id: PublicLeaseId,
      ttl_ms: Count,
      /** Null: unknown, as the replying peer does not lead. Undefined: an older peer. */
      remaining_ms: Count.nullable().optional(),
      keys: z.array(Key),
      more: z.boolean(),
    }),
  ),
  lease_list: operation(
    'lists the leases, in the order of their numbers, by pages: number, time, and how many keys it has',
    z.object({ start_after: PublicLeaseId.optional(), limit: Limit, consistency: Consistency.optional() }),
    z.object({ leases: z.array(z.tuple([PublicLeaseId, Ttl, Count])), more: z.boolean() }),
  ),
  lock: operation(
    'acquires a lock, which is tied to a lease; an owner that holds it already receives the same `token` again. If another owner holds the lock, a request with `wait` joins the queue, and acquires the lock when it is the first one there (`lock_get` or the same request shows this); without `wait` it leaves the queue. Tokens increase with each acquisition: the protected resource must reject a token lower than one that it has seen',
    z.object({ name: Key, owner: Owner, lease_id: LeaseId, wait: z.boolean().optional(), ...once }),
    z.object({ acquired: z.boolean(), token: Count, ...ofHistory }),
  ),
  unlock: operation(
    'releases a lock, which the first owner in the queue acquires; `released` false: the lock is not held with this token, or not by this lease. The request needs the `lease_id` of the holder, or `force`, which publishes the event `lock_forced`; for a lease without a secret it needs neither',
    z.object({
      name: Key,
      token: Token,
      lease_id: LeaseId.optional(),
      force: z.boolean().optional(),
      ...once,
    }),
    z.object({ released: z.boolean(), revision: Revision }),
  ),
  lock_get: operation(
    'returns the holder of a lock (null: it is free), and how many owners wait for it',
    z.object({ name: Key, consistency: Consistency.optional() }),
    z.object({
      holder: z.object({ owner: Owner, lease_id: PublicLeaseId, token: Token }).nullable(),
      waiting: Count,
      ...ofHistory,
    }),
  ),
  lock_list: operation(
    'lists the locks that are held, in the order of their names, by pages: name, owner, number of the holder’s lease, token, and how many wait',
    z.object({ start_after: Key.optional(), limit: Limit, consistency: Consistency.optional() }),
    z.object({ locks: z.array(z.tuple([Key, Owner, PublicLeaseId, Token, Count])), more: z.boolean() }),
  ),
  open_session: operation(
    'opens a client session, in which a repeated write is executed once. Its `client_id` is text with `id: "text"`, otherwise a number, as clients of the first version expect. At feature level 0 it is a number',
    z.object({ id: z.literal('text').optional() }),
    z.object({ client_id: ClientId, ...ofHistory }),
  ),
  batch: operation(
    'executes several writes in order, in one entry of the log; unlike in a `txn`, each can fail alone',
    z.object({
      client_id: ClientId.optional(),
      acknowledged: Count.optional(),
      commands: z.array(Command).min(1).max(limits.requestCommands),
    }),
    z.object({ results: z.array(CommandResult), ...ofHistory }),
  ),
  batch_get: operation(
    'reads several keys atomically; the reply may contain only the first ones, if more do not fit into a message',
    z.object({ keys: z.array(Key).min(1).max(limits.requestCommands), consistency: Consistency.optional() }),
    z.object({ found: z.array(z.tuple([Value.nullable(), Revision])), base64, ...ofHistory }),
  ),
  range: operation(
    'returns the keys with a prefix, in the order of their UTF-8 bytes, by pages: with `more`, the next page starts after the last key of this one, and may be of a later revision. `revision` is the group’s at this page; with `keys_only` each value is null',
    z.object({
      prefix: KeyPrefix,
      start_after: Key.optional(),
      limit: Limit,
      keys_only: z.boolean().optional(),
      consistency: Consistency.optional(),
    }),
    z.object({
      found: z.array(z.tuple([Key, Value.nullable(), Revision])),
      more: z.boolean(),
      revision: Revision,
      base64,
      ...ofHistory,
    }),
  ),
  changes: operation(
    'returns the changes of the keys with a prefix, from a revision on, oldest first. With `more`, the next page begins at `next_revision`; without it, later changes do. ECOMPACTED: the changes are no longer kept; read the keys again, and continue after the revision of that reply',
    z.object({
      prefix: KeyPrefix,
      from_revision: z.number().int().min(1),
      limit: z.number().int().min(1).max(limits.watchChanges).optional(),
      consistency: Consistency.optional(),
    }),
    z.object({
      changes: z.array(KeyChange),
      more: z.boolean(),
      next_revision: Revision,
      revision: Revision,
      /** In JSON: the revisions whose values would not fit into a message; here they are null. */
      omitted: z.array(Revision).optional(),
      ...ofHistory,
    }),
  ),
  watch: operation(
    'makes the leader publish the changes of the keys with a prefix on `<group>.watch.<owner>.<id>` (`watch_id` is `<owner>.<id>`: a name of the client and a random token), from a revision on, or without one from now on. The watch ends unless the request is repeated every few seconds (`renew_ms`): without `from_revision` the watch continues, with it the watch starts again there; the next leader must be asked with it. Subscribe before the request. EBUSY: the client or the group has as many watches as it may; EINVAL: a watch with another prefix or encoding has this id',
    z.object({
      watch_id: WatchId,
      prefix: KeyPrefix,
      from_revision: z.number().int().min(1).optional(),
    }),
    z.object({
      /** The first message continues after this revision. */
      after: Revision,
      /** The group's. */
      revision: Revision,
      renew_ms: Count,
      ...ofHistory,
    }),
  ),
  unwatch: operation(
    'ends a watch at once; `closed` false: the leader has no watch with that id. Messages published before may still arrive',
    z.object({ watch_id: WatchId }),
    z.object({ closed: z.boolean() }),
  ),
} as const;

export type KvOperations = typeof kvOperations;
export type KvOperation = keyof KvOperations;

/** Operations that change nothing: a failed one is not done. */
export const readOperations: readonly KvOperation[] = [
  'get',
  'batch_get',
  'range',
  'changes',
  'lease_get',
  'lease_list',
  'lock_get',
  'lock_list',
  'watch',
  'unwatch',
];

/** The reads that a peer's own node answers: only leaders accept watches. */
export const peerOperations: readonly KvOperation[] = readOperations.filter(
  (operation) => operation !== 'watch' && operation !== 'unwatch',
);

export type KvRequest<O extends KvOperation> = z.infer<KvOperations[O]['request']>;
export type KvReply<O extends KvOperation> = z.infer<KvOperations[O]['reply']>;

export function isKvOperation(name: string): name is KvOperation {
  return Object.hasOwn(kvOperations, name);
}
