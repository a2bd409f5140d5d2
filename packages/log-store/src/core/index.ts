export * from './inputs-and-effects.js';
export * from './keys.js';
export { garbageOf } from './log-snapshots.js';
export * from './log-state.js';
export * from './log-store-core.js';
export { chunkIsIntact } from './read-checks.js';
export { corrupt, howToRepair, stateFromRows } from './records.js';
export * from './storage-operations.js';
export * from './truncation.js';
