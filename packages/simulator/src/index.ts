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
export * from './script/command.js';
export { formatCommand } from './script/format-command.js';
export { parseCommand } from './script/parse-command.js';
export { formatScript, parseScript } from './script/script.js';
export { ScriptError } from './script/tokens.js';
