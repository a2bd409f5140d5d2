export {
  ReplicatorGroupCore,
  type ReplicatorGroupDependencies,
  type ReplicatorGroupEffect,
  type ReplicatorGroupInput,
  type ReplicatorGroupOptions,
} from './replicator-group-core.js';
export { SnapshotThrottle, type SnapshotThrottleOptions } from './snapshot-throttle.js';
