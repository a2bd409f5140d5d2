export * from './core.js';
export * from './fixed-histogram.js';
export * from './leader-mismatch.js';
export * from './link.js';
export * from './link-acceptor.js';
export * from './state-machine.js';
