import { defineConfig } from 'vitest/config';

// Packages of this workspace are read from their sources: a unit test needs no build.
const conditions = ['source', 'module', 'node', 'development|production'];

export default defineConfig({
  test: {
    projects: [
      {
        resolve: { conditions },
        ssr: { resolve: { conditions } },
        test: {
          name: 'unit',
          include: ['packages/*/test/**/*.test.ts', 'test/house/**/*.test.ts', 'test/mutants/**/*.test.ts'],
          globalSetup: ['test/set-up/unit.ts'],
          sequence: { groupOrder: 0 },
        },
      },
      {
        resolve: { conditions },
        ssr: { resolve: { conditions } },
        test: {
          name: 'mesh',
          include: ['test/mesh/**/*.test.ts'],
          globalSetup: ['test/set-up/mesh.ts'],
          // Notes what of the contract is seen; the units' own NATS servers have stand-ins for actors.
          setupFiles: ['test/set-up/worker.ts'],
          // Each of these runs many processes: one at a time, after the unit tests.
          maxWorkers: 1,
          sequence: { groupOrder: 1 },
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        resolve: { conditions },
        ssr: { resolve: { conditions } },
        test: {
          // Looks at what all the others have noted.
          name: 'contract',
          include: ['test/contract/**/*.test.ts'],
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
