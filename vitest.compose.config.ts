import { defineConfig } from 'vitest/config';

const conditions = ['source', 'node', 'development|production'];

// These need a Docker engine and take minutes, so only `npm run test:compose` runs them.
export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    name: 'compose',
    include: ['test/compose/**/*.test.ts'],
    globalSetup: ['test/compose/set-up.ts'],
    fileParallelism: false,
    testTimeout: 600_000,
    hookTimeout: 600_000,
  },
});
