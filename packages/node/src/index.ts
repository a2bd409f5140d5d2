export * from './core/index.js';
export * from './node-actor.js';
export * from './open-requests.js';
