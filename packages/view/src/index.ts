export * from './model/index.js';
export * from './records/index.js';
export * from './source/index.js';
