import { LevelLogStorage } from '../src/level-log-storage.js';
import { MemoryLogStorage } from '../src/memory-log-storage.js';
import { describeLogStorage } from './log-storage-conformance.js';
import { makeFolder } from './temporary-folder.js';

describeLogStorage('in memory', async () => {
  const storage = new MemoryLogStorage();
  return { open: async () => storage, remove: async () => undefined };
});

describeLogStorage('on LevelDB', async () => {
  const folder = await makeFolder();
  return {
    open: async () => {
      const storage = new LevelLogStorage({ folder: folder.path });
      await storage.open();
      return storage;
    },
    remove: folder.remove,
  };
});
