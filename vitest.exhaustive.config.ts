import { defineConfig } from 'vitest/config';

const conditions = ['source', 'node', 'development|production'];

// Each of these takes tens of minutes: whole tables, of which `npm test` and `npm run test:long` run a part.
export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    name: 'exhaustive',
    include: ['test/exhaustive/**/*.test.ts'],
    globalSetup: ['test/set-up/mesh.ts'],
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
