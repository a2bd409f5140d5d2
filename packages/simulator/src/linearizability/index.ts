export * from './check-history.js';
export * from './leases.js';
export * from './locks.js';
export * from './operation.js';
export * from './transactions.js';
export * from './watches.js';
