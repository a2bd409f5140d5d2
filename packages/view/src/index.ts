export * from './live/index.js';
export * from './model/index.js';
export * from './records/index.js';
export * from './replay/index.js';
export * from './server/index.js';
export * from './source/index.js';
