import { defineConfig } from 'vitest/config';

// Packages of this workspace are read from their sources: a unit test needs no build.
const conditions = ['source', 'node', 'development|production'];

/** Files with real processes that take a whole machine, or judge how long something takes. */
export const alone = ['chaos', 'garbage', 'lock-command'].map((name) => `test/mesh/${name}.test.ts`);

interface MeshProject {
  readonly name: string;
  readonly include: string[];
  readonly exclude: string[];
  /** Files at once. */
  readonly workers: number;
  readonly groupOrder: number;
}

/** Tests with real processes. */
function mesh({ name, include, exclude, workers, groupOrder }: MeshProject) {
  return {
    resolve: { conditions },
    ssr: { resolve: { conditions } },
    test: {
      name,
      include,
      exclude,
      globalSetup: ['test/set-up/mesh.ts'],
      // Notes what of the contract is seen; the units' own NATS servers have stand-ins for actors.
      setupFiles: ['test/set-up/worker.ts'],
      maxWorkers: workers,
      sequence: { groupOrder },
      testTimeout: 120_000,
      hookTimeout: 120_000,
    },
  };
}

export default defineConfig({
  test: {
    projects: [
      {
        resolve: { conditions },
        ssr: { resolve: { conditions } },
        test: {
          name: 'unit',
          include: ['packages/*/test/**/*.test.ts', 'test/architecture/**/*.test.ts', 'test/mutants/**/*.test.ts'],
          globalSetup: ['test/set-up/unit.ts'],
          // Of itself, Vitest leaves one core to who sits in front of the machine.
          maxWorkers: 2,
          sequence: { groupOrder: 0 },
          // A machine that is busy with something else is no fault of what is tested.
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      // These run many processes, which mostly wait: three files side by side, after the unit tests.
      mesh({ name: 'mesh', include: ['test/mesh/**/*.test.ts'], exclude: alone, workers: 3, groupOrder: 1 }),
      // These measure times, or load the machine: one at a time, after those.
      mesh({ name: 'mesh-alone', include: alone, exclude: [], workers: 1, groupOrder: 2 }),
      {
        resolve: { conditions },
        ssr: { resolve: { conditions } },
        test: {
          // Looks at what all the others have noted.
          name: 'contract',
          include: ['test/contract/**/*.test.ts'],
          sequence: { groupOrder: 3 },
        },
      },
    ],
  },
});
