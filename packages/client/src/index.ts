export { type Comparison, ConclaveError, type Operation, type OperationResult } from '@conclave/protocol';
export { AdminApi } from './admin-api.js';
export { ConclaveClient, type ConnectOptions } from './conclave-client.js';
export * from './core/index.js';
export type { WatchEvent, WatchOptions } from './key-watch.js';
export { type ChangesOptions, type GetOptions, KvApi, type PutOptions, type RangeOptions } from './kv-api.js';
export { LeaseApi, type PageOptions } from './lease-api.js';
export { Lock, type LockOptions } from './lock.js';
export { type AcquireOptions, LockApi } from './lock-api.js';
