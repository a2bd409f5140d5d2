/** Hears a group's events while something else goes on. */
import { type EventName, events } from '@conclave/protocol';
import type { Subscription } from 'nats';
import type { Requester } from './requester.js';
import type { Observed } from './views/observed.js';

/** Calls `onEvent` for each event until it is stopped; what does not parse is left out. */
export class Observing {
  private readonly subscription: Subscription;

  constructor(requester: Requester, onEvent: (event: Observed) => void) {
    const { connection, groupId, subjects } = requester;
    this.subscription = connection.subscribe(subjects.event(groupId, '*'), {
      callback: (error, message) => {
        if (error !== null) return;
        const parsed = subjects.parse(message.subject);
        if (parsed?.type !== 'event') return;
        const event = parseEvent(parsed.event, message.data);
        if (event !== undefined) onEvent(event);
      },
    });
  }

  stop(): void {
    this.subscription.unsubscribe();
  }
}

/** An event as it came, or undefined where it is none. */
export function parseEvent(name: string, data: Uint8Array): Observed | undefined {
  if (!Object.hasOwn(events, name)) return undefined;
  try {
    const parsed = events[name as EventName].schema.safeParse(JSON.parse(new TextDecoder().decode(data)));
    // The schema was chosen by the name, which the type of a record of schemas cannot say.
    return parsed.success ? ({ name, body: parsed.data } as Observed) : undefined;
  } catch {
    return undefined;
  }
}
