export type { NodeHealth, NodeSummary, RestartAdvice } from './admin/index.js';
export type {
  Divergence,
  GroupHost,
  NodeDependencies,
  NodeEffect,
  NodeInput,
  NodeOptions,
  NodeTimer,
} from './inputs-and-effects.js';
export { appendsInFlight } from './leader/index.js';
export { NodeCore } from './node-core.js';
