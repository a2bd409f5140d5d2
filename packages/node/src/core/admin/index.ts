/**
 * What operators ask for and see.
 * This file lists what other folders may import.
 */
export { AdminRouter } from './admin-router.js';
export { NodeStatus } from './node-status.js';
export { StallDetector } from './stall-detector.js';
export type { NodeHealth, NodeSummary, RestartAdvice } from './status.js';
export { WriteProtection } from './write-protection.js';
