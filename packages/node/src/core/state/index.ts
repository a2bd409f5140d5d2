/**
 * What all parts of a node read: its identity, its role, its term, its log.
 * This file lists what other folders may import.
 */
export type { CachedBatch } from './log-view.js';
export { clockOf, NodeState, needsLevel, sideFileLost } from './node-state.js';
