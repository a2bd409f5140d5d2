export * from './call.js';
export * from './client-core.js';
export * from './watch-reader.js';
