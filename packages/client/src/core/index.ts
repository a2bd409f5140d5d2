export * from './call.js';
export * from './client-core.js';
