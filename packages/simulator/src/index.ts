export * from './mesh/core-mesh.js';
export { Random } from './mesh/random.js';
export { type DiskEntry, VirtualDisks } from './mesh/virtual-disks.js';
