export * from './core/index.js';
export * from './disk-watch.js';
export * from './hosted-groups.js';
export * from './level-log-storage.js';
export * from './log-storage.js';
export * from './log-store-actor.js';
export * from './memory-log-storage.js';
export * from './write-scheduler.js';
