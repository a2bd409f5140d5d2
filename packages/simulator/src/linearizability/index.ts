export * from './judge.js';
export * from './operation.js';
export * from './violation.js';
