export * from './core.js';
export * from './link.js';
export * from './state-machine.js';
