export * from './kv-entry.js';
export * from './kv-query.js';
export * from './kv-service.js';
export * from './kv-state-machine.js';
