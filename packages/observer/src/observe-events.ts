import { asGroupId, type EventBody, type EventName, events, Subjects } from '@conclave/protocol';
import type { Msg, NatsConnection } from 'nats';
import type { Observation } from './observation.js';
import { subscribe } from './subscription.js';

/** A published event: its name and body, a discriminated union over all of them. */
export type ObservedEvent<E extends EventName = EventName> = {
  [N in E]: { readonly name: N; readonly body: EventBody<N> };
}[E];

export interface ObserveOptions<E extends EventName> {
  readonly connection: NatsConnection;
  readonly groupId: string;
  readonly prefix?: string | undefined;
  /** Only these; all by default. */
  readonly events?: readonly E[] | undefined;
  /** Called with each event at once; then the iterator gets none. */
  readonly onEvent?: ((event: ObservedEvent<E>) => void) | undefined;
}

/**
 * Observes the events of a group, from now on. At most `limits.observedEvents` wait to be read.
 * @throws ZodError, ConclaveError if the group or the prefix is not a valid name
 */
export function observe<E extends EventName = EventName>(options: ObserveOptions<E>): Observation<ObservedEvent<E>> {
  const subjects = new Subjects(options.prefix);
  const groupId = asGroupId(options.groupId);
  const current = options.events?.map((name) => subjects.event(groupId, name, '*')) ?? [subjects.events(groupId)];
  const wanted = current.flatMap((subject) => [subject, subjects.ofFirstVersion(subject)]);
  const read = (message: Msg): (ObservedEvent<E> | 'malformed')[] => {
    const parsed = subjects.parse(message.subject);
    const event = parsed?.type === 'event' ? readEvent(parsed.event, message.data) : undefined;
    if (parsed?.type !== 'event' || event === undefined || event.body.group_id !== groupId) return ['malformed'];
    // Subjects of the first version do not name the peer.
    if (parsed.from !== undefined && parsed.from !== event.body.peer_id) return ['malformed'];
    // The subjects are those of the wanted names only.
    return [event as ObservedEvent<E>];
  };
  return subscribe(options.connection, wanted, read, options.onEvent);
}

const textDecoder = new TextDecoder();

function readEvent(name: string, data: Uint8Array): ObservedEvent | undefined {
  if (!isEventName(name)) return undefined;
  try {
    const parsed = events[name].schema.safeParse(JSON.parse(textDecoder.decode(data)));
    return parsed.success ? ({ name, body: parsed.data } as ObservedEvent) : undefined;
  } catch {
    return undefined;
  }
}

function isEventName(name: string): name is EventName {
  return Object.hasOwn(events, name);
}
