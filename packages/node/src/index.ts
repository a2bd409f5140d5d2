export * from './core/contract.js';
export * from './node-actor.js';
export * from './open-requests.js';
