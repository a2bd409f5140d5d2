// One file for each way the command starts, out of what `tsc -b` has built: a process that loads six hundred modules spends more
// than half of its start on finding them. `level` and `msgpackr` stay outside, as they bring native code along; so do the clients of
// other systems, which `conclave bench --peers` loads if they are installed.

import { cpSync } from 'node:fs';
import path from 'node:path';
import { defineConfig } from 'rolldown';
import { bundleLicenses } from './bundle-licenses.mjs';

const here = import.meta.dirname;

/**
 * The built page is beside the bundle, where `findPage` looks for it.
 *
 * @returns {import('rolldown').Plugin}
 */
function page() {
  return {
    name: 'page',
    writeBundle: () =>
      cpSync(path.join(here, '..', 'view', 'dist', 'page'), path.join(here, 'bundle', 'page'), { recursive: true }),
  };
}

/**
 * A process keeps the text of the code that it has loaded, with two bytes for each character if one of them needs two.
 *
 * @returns {import('rolldown').Plugin}
 */
function asciiOnly() {
  const escaped = (/** @type {string} */ character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  return {
    name: 'ascii-only',
    // An earlier hook is of no use: the text is printed once more after it, with the characters themselves.
    generateBundle: (_options, files) => {
      for (const file of Object.values(files)) {
        if (file.type === 'chunk') file.code = file.code.replaceAll(/[^\0-\x7f]/g, escaped);
      }
    },
  };
}

export default defineConfig({
  input: {
    main: path.join(here, 'dist', 'main.js'),
    index: path.join(here, 'dist', 'index.js'),
    'run-main': path.join(here, 'dist', 'run-main.js'),
    'health-main': path.join(here, 'dist', 'health-main.js'),
    'run/v8-tuning': path.join(here, 'dist', 'run', 'v8-tuning.js'),
    'processes/hide-secrets': path.join(here, 'dist', 'processes', 'hide-secrets.js'),
    'lock/watchdog': path.join(here, 'dist', 'lock', 'watchdog.js'),
  },
  platform: 'node',
  external: ['level', 'msgpackr', 'etcd3', '@nats-io/jetstream', '@nats-io/transport-node'],
  plugins: [bundleLicenses(path.join(here, '..', 'view')), page(), asciiOnly()],
  output: {
    dir: path.join(here, 'bundle'),
    format: 'esm',
    cleanDir: true,
    chunkFileNames: '[name]-[hash].js',
    comments: false,
  },
  // Circular imports occur inside packages that we use.
  checks: { circularDependency: false },
});
