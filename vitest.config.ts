import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

// Packages of this workspace are read from their sources: a unit test needs no build.
const conditions = ['source', 'node', 'development|production'];

/** Files with real processes that take a whole machine, or judge how long something takes. */
export const alone = ['chaos', 'garbage'].map((name) => `test/mesh/${name}.test.ts`);

/**
 * The files that take longest, with the beginning of their names. A fresh clone knows no durations, so Vitest begins with the largest files, and
 * these are small: one of them would run at the end, while the other core is idle.
 */
const long = [
  'test/mutants/',
  'packages/simulator/test/replay',
  'packages/simulator/test/random-runs',
  'packages/simulator/test/playground/',
  'packages/simulator/test/recording/',
  'packages/simulator/test/scenarios',
  'packages/log-store/test/kill-nine',
  'packages/client/test/client-core-random',
];

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const { root } = this.ctx.config;
    const rankOf = ({ moduleId }: TestSpecification): number => {
      const rank = long.findIndex((name) => moduleId.startsWith(`${root}/${name}`));
      return rank < 0 ? long.length : rank;
    };
    const groupOf = ({ project }: TestSpecification): number => project.config.sequence.groupOrder;
    return sorted.toSorted((one, other) => groupOf(one) - groupOf(other) || rankOf(one) - rankOf(other));
  }
}

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
    sequence: { sequencer: LongestFirst },
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
          // The files of a worker share their modules: to load and compile the packages for each of them took more time than the
          // tests. A test that changes something of its process (an environment variable, a timer, a mock) undoes it.
          isolate: false,
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
