/** Receives a group's events while a command does other work. */
import { type Observation, type ObservedEvent, observe } from '@conclave/observer';
import type { AdminClient } from './admin-client.js';

/** Calls `onEvent` for each event until it is closed; events that cannot be parsed are skipped. */
export function observeGroup(
  { connection, groupId, subjects }: AdminClient,
  onEvent: (event: ObservedEvent) => void,
): Observation<ObservedEvent> {
  const observation = observe({ connection, groupId, prefix: subjects.prefix, onEvent });
  // If the connection ends first, its other users receive the error.
  observation.ready.catch(() => undefined);
  return observation;
}
