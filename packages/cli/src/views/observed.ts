/** An event as a view takes it: its name and what it says. */
import type { EventBody, EventName } from '@conclave/protocol';

export type Observed<E extends EventName = EventName> = {
  [N in E]: { readonly name: N; readonly body: EventBody<N> };
}[E];
