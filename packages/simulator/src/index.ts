export * from './language/command.js';
export { formatCommand } from './language/format-command.js';
export { formatScript, parseScript } from './language/script.js';
export { ScriptError } from './language/tokens.js';
export {
  type CheckOptions,
  checkHistory,
  historyBaseOf,
  type Operation,
  type Verdict,
} from './linearizability/index.js';
export * from './mesh/core-mesh.js';
export { Random } from './mesh/random.js';
export { type DiskEntry, VirtualDisks } from './mesh/virtual-disks.js';
export { randomPlan } from './plan/random-plan.js';
export * from './run/run-seed.js';
export * from './run/shrink.js';
export { runScript, Simulation } from './run/simulation.js';
