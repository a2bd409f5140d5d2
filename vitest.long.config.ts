import { defineConfig } from 'vitest/config';
import { alone } from './vitest.config.js';

const resolve = { conditions: ['source', 'node', 'development|production'] };

// Tests with real processes that take long: `npm run test:long`.
export default defineConfig({
  test: {
    projects: [
      {
        resolve,
        ssr: { resolve },
        test: {
          name: 'long',
          include: ['test/long/**/*.test.ts'],
          globalSetup: ['test/set-up/mesh.ts'],
          maxWorkers: 1,
          sequence: { groupOrder: 0 },
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      // Those of `npm test`, and the scenarios of all roles, ran against the newest NATS server, or the one that is installed. What loads a machine for minutes is
      // left out: it is about Conclave's own processes.
      {
        resolve,
        ssr: { resolve },
        test: {
          name: 'oldest-nats',
          include: ['test/mesh/**/*.test.ts', 'test/long/roles.test.ts'],
          exclude: alone,
          globalSetup: ['test/set-up/mesh.ts'],
          setupFiles: ['test/set-up/oldest-nats.ts'],
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
