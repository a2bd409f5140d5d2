export * from './core.js';
export * from './link.js';
export * from './link-door.js';
export * from './state-machine.js';
