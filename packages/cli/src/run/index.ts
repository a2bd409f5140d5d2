export { registerHealth, registerRun } from './register.js';
