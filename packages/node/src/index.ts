export * from './core/index.js';
export * from './node-actor.js';
export { ProcessAppends } from './process-appends.js';
export type { Addressee } from './requests/parse-request.js';
export { RequestHandler, type RequestPorts } from './requests/request-handler.js';
