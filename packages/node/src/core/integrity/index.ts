/**
 * Whether this peer’s state is the majority’s.
 * This file lists what other folders may import.
 */
export { Quarantine } from './quarantine.js';
export { StateComparison } from './state-comparison.js';
