export * from './inputs-and-effects.js';
export * from './keys.js';
export { leftoversOf } from './log-snapshots.js';
export * from './log-state.js';
export * from './log-store-core.js';
export * from './operations.js';
export { corrupt, howToHeal, stateFromRows } from './records.js';
export { chunkIsIntact } from './snapshot-reads.js';
export * from './truncation.js';
