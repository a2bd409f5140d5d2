export { LiveKeys } from './live-keys.js';
export { type GroupRequests, LiveSource, type LiveSourceOptions } from './live-source.js';
