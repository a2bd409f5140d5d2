export { type Action, ConfirmedActions } from './confirmed-actions.js';
export type { KeyPage, KeyReader, KeyValue, LeaseRow, LockRow } from './key-reader.js';
export { findPage } from './page-files.js';
export { ViewServer, type ViewServerOptions } from './view-server.js';
