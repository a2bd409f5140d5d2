/** Hears a group's events while something else goes on. */
import { type Observation, type ObservedEvent, observe } from '@conclave/observer';
import type { AdminClient } from './admin-client.js';

/** Calls `onEvent` for each event until it is closed; what does not parse is left out. */
export function observeGroup(
  { connection, groupId, subjects }: AdminClient,
  onEvent: (event: ObservedEvent) => void,
): Observation<ObservedEvent> {
  const observation = observe({ connection, groupId, prefix: subjects.prefix, onEvent });
  // A connection that ends first says so to whoever uses it.
  observation.ready.catch(() => undefined);
  return observation;
}
