import type { LedHistory, Message } from '@conclave/protocol';

/** What passes from one peer to another: a message to an actor, or what a leader publishes for the other leaders of that name. */
export type Passing = Message | { readonly name: 'led_history'; readonly body: LedHistory };
