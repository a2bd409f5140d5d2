export {
  ReplicatorGroupCore,
  type ReplicatorGroupEffect,
  type ReplicatorGroupInput,
  type ReplicatorGroupOptions,
} from './replicator-group-core.js';
