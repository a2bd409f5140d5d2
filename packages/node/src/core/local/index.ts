/**
 * This peer’s own actors: the log-store, the replicator and the ballot-box.
 * This file lists what other folders may import.
 */
export { build } from './build-info.js';
export { LocalActors } from './local-actors.js';
export { type LogStoreListener, LogStoreOpener } from './log-store-opener.js';
export { leaseShare, SessionCheck } from './session-check.js';
