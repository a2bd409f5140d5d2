export { type Observation, ObservedBuffer } from './observation.js';
export { type ObservedEvent, type ObserveOptions, observe } from './observe-events.js';
export { type ObservedMessage, type ObserveMessagesOptions, observeMessages } from './observe-messages.js';
