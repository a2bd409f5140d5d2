/**
 * From the leader’s entries to the state machine: what every node applies.
 * This file lists what other folders may import.
 */
export { Applier } from './applier.js';
export { type AppendedCommand, LogAppender } from './log-appender.js';
