/**
 * The types of the protocol's values.
 *
 * Terms and indexes are plain integers at run time; the brand prevents passing one where the other is meant. Index 0 and term 0
 * mean "before the first entry".
 */
import { z } from 'zod';
import { limits } from './limits.js';

/** A name that is one token of a subject: letters, digits, `_` and `-`. */
export const tokenPattern: RegExp = /^[A-Za-z0-9_-]+$/;

/** Names with a meaning of their own in subjects, so that no group, peer or actor may have them. */
export const reservedNames: readonly string[] = ['admin', 'kv', 'event', 'feed', 'watch'];

/**
 * Further names that no peer may have: a subject of a group has that token in the place in which a host's subject has the peer's name. A peer called
 * `delete_group` could publish `<prefix>.admin.history.delete_group`, as the history that it leads in any group.
 */
export const reservedPeerNames: readonly string[] = [...reservedNames, 'history'];

/** A name with the bounds and without the reserved ones, as one pattern, because it is checked with every message. */
function nameWithout(reserved: readonly string[]) {
  const pattern = new RegExp(`^(?!(?:${reserved.join('|')})$)[A-Za-z0-9_-]{1,${limits.nameBytes}}$`);
  const text = `a name consists of 1 to ${limits.nameBytes} letters, digits, "_" and "-", and is not reserved`;
  return z.string().regex(pattern, text);
}

const count = z.int().min(0);

/** The number of a term; 0 before the first. */
export const Term = count.brand<'Term'>();
export type Term = z.infer<typeof Term>;

/** The position of an entry in the log; the first has 1. */
export const LogIndex = count.brand<'LogIndex'>();
export type LogIndex = z.infer<typeof LogIndex>;

/** The name of a peer, unique in its group, one token of a subject. */
export const PeerId = nameWithout(reservedPeerNames).brand<'PeerId'>();
export type PeerId = z.infer<typeof PeerId>;

/** The name of a replication group, one token of a subject. */
export const GroupId = nameWithout(reservedNames).brand<'GroupId'>();
export type GroupId = z.infer<typeof GroupId>;

/** Generated when a log-store first makes a group's data for a peer: identifies the disk. */
export const StoreId = z.string().max(limits.idBytes).brand<'StoreId'>();
export type StoreId = z.infer<typeof StoreId>;

/** Generated once when a group is created: identifies the history. Empty: none yet. */
export const GroupUid = z.string().max(limits.idBytes).brand<'GroupUid'>();
export type GroupUid = z.infer<typeof GroupUid>;

/** One opening of a log-store by a node; only grows on a store. */
export const Session = count.brand<'Session'>();
export type Session = z.infer<typeof Session>;

/** A random id of one run of a process, or of something else. */
export const Incarnation = z.string().min(1).max(limits.idBytes);

/** A digest of a state machine's state; empty: none. */
export const StateDigest = z.string().max(limits.nameBytes);

/** A whole number, 0 or above. */
export const Count = count;

/** The four kinds of actor that a peer consists of. */
export const actorKinds = ['node', 'replicator', 'ballot-box', 'log-store'] as const;
export const ActorKind = z.enum(actorKinds);
export type ActorKind = z.infer<typeof ActorKind>;

/** Bytes as received, which only their final reader decodes. */
/** The header of W3C Trace Context, version 00: version, id of the trace, id of the span, flags. */
export const traceparentPattern = /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;
export const Traceparent = z.string().regex(traceparentPattern);

export const Bytes = z.custom<Uint8Array>((value) => value instanceof Uint8Array, 'expected binary');

export const asTerm = (value: number): Term => value as Term;
export const asLogIndex = (value: number): LogIndex => value as LogIndex;
export const asSession = (value: number): Session => value as Session;

/** @throws ZodError if the name is not a token or is reserved */
export const asPeerId = (value: string): PeerId => PeerId.parse(value);
/** @throws ZodError if the name is not a token or is reserved */
export const asGroupId = (value: string): GroupId => GroupId.parse(value);

export const noGroupUid = '' as GroupUid;
