export { ReplaySource } from './replay-source.js';
