/**
 * Reads and watches, and the rounds of heartbeats that confirm them.
 * This file lists what other folders may import.
 */
export { HeartbeatRounds } from './heartbeat-rounds.js';
export { ReadRouter } from './read-router.js';
export { Watches } from './watches.js';
