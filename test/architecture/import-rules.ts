// Which package may import what. Imports point one way:
//
//   protocol <- actor <- { node, replicator, ballot-box, log-store, kv } <- { simulator, cli }
//
// `client` and `observer` see `protocol` alone, `view` these three; `simulator` sees `client` and `view` besides; `cli` sees all.

import path from 'node:path';
import { type ModuleReference, moduleReferences, type SourceFile } from './source-file.js';

/** What a package may depend on: our packages by their short name, and third parties. */
interface Allowance {
  ours: readonly string[];
  thirdParties: readonly string[];
  /** What it depends on for its bundle alone: packages of the packages inside it, which none of its sources imports. */
  bundle?: readonly string[];
  /** Packages of the project's `devDependencies` that are loaded where they are needed: users do not have them. */
  development?: readonly string[];
}

const ACTORS = ['node', 'replicator', 'ballot-box', 'log-store', 'kv'];

/** A package that is not listed here may not exist. */
export const ALLOWANCES: Readonly<Record<string, Allowance>> = {
  // NATS is only for its entry `login`.
  protocol: { ours: [], thirdParties: ['msgpackr', 'nats', 'zod'] },
  actor: { ours: ['protocol'], thirdParties: ['@opentelemetry/api', 'nats', 'pino'] },
  node: { ours: ['protocol', 'actor'], thirdParties: [] },
  replicator: { ours: ['protocol', 'actor'], thirdParties: [] },
  'ballot-box': { ours: ['protocol', 'actor'], thirdParties: [] },
  'log-store': { ours: ['protocol', 'actor'], thirdParties: ['level'] },
  kv: { ours: ['protocol', 'actor'], thirdParties: [] },
  client: { ours: ['protocol'], thirdParties: ['nats'] },
  observer: { ours: ['protocol'], thirdParties: ['nats'] },
  // What browsers get is built from its `page`, whose packages are in that build.
  view: { ours: ['protocol', 'client', 'observer'], thirdParties: ['@hono/node-server', 'hono', 'nats', 'zod'] },
  // Its virtual clients are the core of the real one.
  simulator: { ours: ['protocol', 'actor', ...ACTORS, 'client', 'view'], thirdParties: ['cli-table3', 'commander'] },
  cli: {
    ours: ['protocol', 'actor', ...ACTORS, 'client', 'observer', 'simulator', 'view'],
    thirdParties: [
      'nats',
      'cli-progress',
      'cli-table3',
      'commander',
      'hono',
      '@hono/node-server',
      'node-forge',
      'pino',
      'pino-pretty',
      'prom-client',
      'yaml',
      'zod',
    ],
    bundle: ['level', 'msgpackr'],
    // Clients of other systems, which the benchmark measures.
    development: ['@nats-io/jetstream', '@nats-io/transport-node', 'etcd3'],
  },
};

/** The only file with a computed import: of an application that the user names. */
const LOADER = 'packages/cli/src/run/application.ts';

/** The parts of a package.json that the rules read. */
export interface Manifest {
  name: string;
  dependencies?: Record<string, string>;
  exports?: Record<string, unknown>;
}

/** What the rules know of a package. `references` are the short names in its tsconfig.json. */
export interface PackageFacts {
  folder: string;
  manifest: Manifest;
  references: readonly string[];
  files: readonly SourceFile[];
}

const SCOPE = '@conclave/';

/** Returns the violations, one sentence each. */
export function importFaults(packages: readonly PackageFacts[]): string[] {
  const manifests = new Map(packages.map(({ manifest }) => [manifest.name, manifest]));
  return packages.flatMap((facts) => [
    ...dependencyFaults(facts),
    ...facts.files.flatMap((file) => fileFaults(file, facts, manifests)),
  ]);
}

function dependencyFaults({ folder, manifest, references }: PackageFacts): string[] {
  const allowance = ALLOWANCES[folder];
  if (allowance === undefined) return [`packages/${folder} has no place in the order of imports`];
  const faults: string[] = [];
  if (manifest.name !== SCOPE + folder) faults.push(`packages/${folder} is named ${manifest.name}`);
  const declared = Object.keys(manifest.dependencies ?? {});
  const allowed = [
    ...allowance.ours.map((name) => SCOPE + name),
    ...allowance.thirdParties,
    ...(allowance.bundle ?? []),
  ];
  for (const name of declared) {
    if (!allowed.includes(name)) faults.push(`packages/${folder} must not depend on ${name}`);
  }
  const ours = declared.filter((name) => name.startsWith(SCOPE)).map(withoutScope);
  if (ours.toSorted().join() !== references.toSorted().join()) {
    faults.push(`packages/${folder}: tsconfig.json refers to [${references}], package.json to [${ours}]`);
  }
  return faults;
}

function fileFaults(
  file: SourceFile,
  { folder, manifest }: PackageFacts,
  manifests: ReadonlyMap<string, Manifest>,
): string[] {
  const faults: string[] = [];
  for (const reference of moduleReferences(file)) {
    const fault = referenceFault(reference, file, folder, manifest, manifests);
    if (fault !== undefined) faults.push(`${file.path}:${reference.line}: ${fault}`);
  }
  return faults;
}

function referenceFault(
  { specifier, isDynamic }: ModuleReference,
  file: SourceFile,
  folder: string,
  manifest: Manifest,
  manifests: ReadonlyMap<string, Manifest>,
): string | undefined {
  if (specifier === undefined) return file.path === LOADER ? undefined : 'imports a specifier that is computed';
  if (specifier.startsWith('node:')) return undefined;
  if (specifier.startsWith('.')) {
    const target = path.posix.join(path.posix.dirname(file.path), specifier);
    if (target.startsWith(`packages/${folder}/src/`)) return undefined;
    return `${specifier} leaves the package's sources`;
  }
  const name = packageOf(specifier);
  if (name === manifest.name) return `${specifier} is this package itself`;
  if (isDynamic && ALLOWANCES[folder]?.development?.includes(name)) return undefined;
  if (!Object.hasOwn(manifest.dependencies ?? {}, name)) return `${name} is not declared`;
  if (ALLOWANCES[folder]?.bundle?.includes(name)) return `${name} is there for the bundle alone`;
  if (!name.startsWith(SCOPE)) return undefined;
  const entry = `.${specifier.slice(name.length)}`;
  if (Object.hasOwn(manifests.get(name)?.exports ?? {}, entry)) return undefined;
  return `${specifier} is not exported by ${name}`;
}

/** `@scope/name/entry` is of `@scope/name`, `name/entry` of `name`. */
function packageOf(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}

function withoutScope(name: string): string {
  return name.slice(SCOPE.length);
}
