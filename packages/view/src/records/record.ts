/**
 * What happened in a group, one record after the other: the one format that the live page, recordings, their replay and the simulator
 * share. A record is plain JSON. Its order in the stream is the order in which it was observed.
 *
 * | kind | what it reports |
 * |---|---|
 * | `event` | a published event (`events` of the protocol) |
 * | `message` | a message between two actors, or between a client and a node |
 * | `status` | the reply of a peer's node to `status`, or why there is none |
 * | `fault` | a fault that was injected or observed: a killed process, a partition |
 * | `note` | a sentence for people, such as a lost connection |
 * | `rate` | how many messages were sent in a second, and how many of them have a record |
 * | `lost` | records that are missing here, because a bound was reached |
 */
import { actorKinds, type EventBody, type EventName, limits, StatusReply } from '@conclave/protocol';
import { z } from 'zod';

/** The version of this format, in the header of a recording. */
export const recordVersion = 1;

/** Milliseconds: since 1970, or in virtual time since the beginning of the run. Never decreases from record to record. */
const at = z.number().min(0);
const Count = z.int().min(0);
const Text = z.string().max(limits.recordTextLength);
const Name = z.string().max(limits.nameBytes);

/** The actor, the feed of a peer, or a program outside the group: `client` sends keys' operations, `operator` admin commands. */
export const PlaceActor = z.enum([...actorKinds, 'feed', 'client', 'operator']);
export type PlaceActor = z.infer<typeof PlaceActor>;

/** The sender or receiver of a message. `peer` is empty for programs outside the group. */
export const Place = z.object({ peer: Name, actor: PlaceActor });
export type Place = z.infer<typeof Place>;

/** A field of a message; of a payload its number of bytes, of a list a short text. */
export const FieldValue = z.union([Text, z.number(), z.boolean(), z.null()]);
export type FieldValue = z.infer<typeof FieldValue>;

/** An event. The body of a known name has the schema of `events`; other names come from newer builds. */
const EventRecord = z.object({
  at,
  kind: z.literal('event'),
  name: Name,
  body: z.looseObject({ peer_id: Name, term: Count, time: Text }),
});
export type EventRecord = z.infer<typeof EventRecord>;

/** A message. Its time is that of its sending in the simulator, and that of its arrival at the observer otherwise. */
const MessageRecord = z.object({
  at,
  kind: z.literal('message'),
  /** `<recipient>.<message>`, or of a client's or operator's request `kv.put`, `admin.status`; of the reply to one with `.reply`. */
  name: Name,
  from: Place,
  to: Place,
  fields: z.record(Name, FieldValue),
  /** Size of the encoded form; 0: unknown. */
  bytes: Count,
  /** The network drops it: it is sent and does not arrive. */
  lost: z.boolean().optional(),
  /** When it arrives, if that is known (simulator). */
  arrives_at: at.optional(),
});
export type MessageRecord = z.infer<typeof MessageRecord>;

/** What a peer's node replies to `status`; of the leader, also the state of the group. */
const StatusRecord = z.object({
  at,
  kind: z.literal('status'),
  peer: Name,
  /** Null: no reply, see `error`. */
  status: StatusReply.nullable(),
  error: z.object({ code: Name, message: Text }).optional(),
});
export type StatusRecord = z.infer<typeof StatusRecord>;

/** The condition of a peer or actor after a fault. */
export const Condition = z.enum(['up', 'down', 'paused', 'cut_off', 'slow']);
export type Condition = z.infer<typeof Condition>;

/** A fault, or its end. */
const FaultRecord = z.object({
  at,
  kind: z.literal('fault'),
  /** A word: `kill`, `start`, `pause`, `partition`, `heal`, ... */
  fault: Name,
  /** Empty: no single peer. */
  peer: Name,
  /** One actor of the peer; undefined: all of them. */
  actor: PlaceActor.optional(),
  /** What the fault leaves it in; undefined: as before. */
  condition: Condition.optional(),
  /** A sentence for people: `n2 is killed`. */
  text: Text,
});
export type FaultRecord = z.infer<typeof FaultRecord>;

/** A sentence for people. */
const NoteRecord = z.object({
  at,
  kind: z.literal('note'),
  /** Notes of one topic replace each other, and stay visible until one with an empty text; none: it only appears in the timeline. */
  topic: z
    .string()
    .regex(/^[a-z][a-z0-9:-]{0,63}$/)
    .optional(),
  level: z.enum(['info', 'warning', 'error']),
  text: Text,
});
export type NoteRecord = z.infer<typeof NoteRecord>;

/** The messages of one second. */
const RateRecord = z.object({ at, kind: z.literal('rate'), sent: Count, shown: Count });
export type RateRecord = z.infer<typeof RateRecord>;

/** Records that are missing from here on. */
const LostRecord = z.object({
  at,
  kind: z.literal('lost'),
  count: Count,
  /** Which bound was reached: a sentence for people. */
  text: Text,
});
export type LostRecord = z.infer<typeof LostRecord>;

/** The schema of all records: what is read from a recording is validated by it. */
export const ViewRecord = z.discriminatedUnion('kind', [
  EventRecord,
  MessageRecord,
  StatusRecord,
  FaultRecord,
  NoteRecord,
  RateRecord,
  LostRecord,
]);
export type ViewRecord = z.infer<typeof ViewRecord>;

/** A record of an event that this build knows: a discriminated union by `name`. */
export type KnownEventRecord<E extends EventName = EventName> = {
  [N in E]: { readonly at: number; readonly kind: 'event'; readonly name: N; readonly body: EventBody<N> };
}[E];

/** The first line of a recording. */
export const RecordingHeader = z.object({
  conclave_records: z.literal(recordVersion),
  /** What is recorded, for people. */
  title: Text,
  group: Name,
  /** `wall`: times are milliseconds since 1970; `virtual`: since the beginning of a simulated run. */
  time: z.enum(['wall', 'virtual']),
  /** The build that made the recording. */
  version: Name,
});
export type RecordingHeader = z.infer<typeof RecordingHeader>;
