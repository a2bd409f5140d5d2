/**
 * Who is in the group: founding, changes of the configuration, new stores, resets, feature levels.
 * This file lists what other folders may import.
 */
export { Bootstrap } from './bootstrap.js';
export { ConfigurationChange } from './configuration-change.js';
export { LevelRaise } from './level-raise.js';
export { PeerReset } from './peer-reset.js';
export { StoreReplacement } from './store-replacement.js';
