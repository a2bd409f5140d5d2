import { defineConfig } from 'vitest/config';

// These need a Docker engine and take minutes, so only `npm run test:compose` runs them.
export default defineConfig({
  test: {
    name: 'compose',
    include: ['test/compose/**/*.test.ts'],
    fileParallelism: false,
    testTimeout: 600_000,
    hookTimeout: 600_000,
  },
});
