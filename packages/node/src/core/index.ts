export type { GroupHost, NodeDependencies, NodeEffect, NodeInput, NodeOptions, NodeTimer } from './contract.js';
export { NodeCore } from './node-core.js';
export type { Divergence } from './quarantine.js';
export type { NodeHealth, NodeSummary, RestartAdvice } from './status.js';
