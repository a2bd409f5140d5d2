/** What users install: the tarballs of `npm run pack`, in a project of their own that is outside this repository. */
import type { ChildProcess } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { capture, root } from '../../scripts/run.mjs';
import { findNatsServer } from '../support/find-nats.js';
import { exitOf, makeFolder, removeFolder, spawnGuarded } from '../support/leftovers.js';

const folder = realpathSync(makeFolder('install'));
const project = path.join(folder, 'project');
const modules = path.join(project, 'node_modules', '@conclave');
const names = ['cli', 'client', 'observer', 'protocol'];

/** What a shell of the user has: nothing of this repository, and no NATS server on the PATH. */
const environment: NodeJS.ProcessEnv = {
  HOME: process.env.HOME,
  PATH: [path.dirname(process.execPath), '/usr/bin', '/bin'].join(path.delimiter),
  XDG_CACHE_HOME: path.join(folder, 'cache'),
  NODE_EXTRA_CA_CERTS: process.env.NODE_EXTRA_CA_CERTS,
};

async function run(command: string, args: string[]): Promise<string> {
  const { code, output } = await capture(command, args, { cwd: project, env: environment });
  expect(output === '' || code === 0 ? '' : output).toBe('');
  expect(code).toBe(0);
  return output;
}

beforeAll(async () => {
  mkdirSync(project);
  writeFileSync(path.join(project, 'package.json'), '{"name":"project","private":true,"type":"module"}\n');
  // Nobody listens there: npm asks the registry ahead, and has to do with the tarballs when that does not answer.
  writeFileSync(path.join(project, '.npmrc'), '@conclave:registry=http://127.0.0.1:9/\nfetch-retries=0\n');
  const packed = await capture(process.execPath, ['scripts/pack.mjs', '--out', path.join(folder, 'packed')], {
    cwd: root,
  });
  expect(packed.code, packed.output).toBe(0);
  const tarballs = packed.output.split('\n').filter((line) => line.endsWith('.tgz'));
  expect(tarballs).toHaveLength(names.length);
  await run('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error', ...tarballs]);
});

afterAll(() => removeFolder(folder));

/** All files of an installed package, as paths inside it. */
function filesOf(name: string): string[] {
  const entries = readdirSync(path.join(modules, name), { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(path.join(modules, name), path.join(entry.parentPath, entry.name)));
}

describe('an installed package', () => {
  it.each(names)('%s has LICENSE, README and types, and no export of a missing file', (name) => {
    const files = filesOf(name);
    expect(files).toEqual(expect.arrayContaining(['LICENSE', 'README.md', 'package.json']));
    expect(files.filter((file) => /\.(map|tsbuildinfo)$/.test(file))).toEqual([]);
    const manifest = JSON.parse(readFileSync(path.join(modules, name, 'package.json'), 'utf8')) as {
      exports: Record<string, Record<string, string> | string>;
      bin?: Record<string, string>;
      dependencies: Record<string, string>;
    };
    for (const conditions of Object.values(manifest.exports)) {
      if (typeof conditions === 'string') {
        expect(files).toContain(path.normalize(conditions));
        continue;
      }
      expect(Object.keys(conditions)).toEqual(['types', 'default']);
      for (const file of Object.values(conditions)) expect(files).toContain(path.normalize(file));
    }
    for (const file of Object.values(manifest.bin ?? {})) expect(files).toContain(path.normalize(file));
    const maps = files.filter(
      (file) =>
        /^(dist|types)\//.test(file) &&
        readFileSync(path.join(modules, name, file), 'utf8').includes('sourceMappingURL='),
    );
    expect(maps).toEqual([]);
    const ours = Object.keys(manifest.dependencies).filter((dependency) => dependency.startsWith('@conclave/'));
    expect(ours.filter((dependency) => !existsSync(path.join(project, 'node_modules', dependency)))).toEqual([]);
  });

  it('the command contains the licenses of its bundled packages', () => {
    const text = readFileSync(path.join(modules, 'cli', 'bundle', 'THIRD-PARTY-LICENSES.txt'), 'utf8');
    for (const name of ['commander', 'pino', '@nats-io/transport-node', 'zod', 'hono', 'preact', 'uplot'])
      expect(text).toMatch(new RegExp(`^${name} \\d`, 'm'));
  });
});

/** The client's sample in a document. */
function sample(document: string): string {
  const blocks = [...readFileSync(path.join(root, document), 'utf8').matchAll(/```ts\n(.*?)```/gs)].map(
    ([, code = '']) => code,
  );
  const found = blocks.find((code) => code.includes("from '@conclave/client'") && code.includes('client.close()'));
  if (found === undefined) throw new Error(`${document} has no sample of the client`);
  return found;
}

/** A custom state machine, and an observer. */
const others = `
import { type Application, Unsupported } from '@conclave/cli';
import { observe } from '@conclave/observer';
import { ConclaveError } from '@conclave/protocol';
import { NatsLogin } from '@conclave/protocol/login';

export const unknown = new Unsupported('knows no command resize');
export const failed = new ConclaveError('ENOENT', 'no such job');
export type Machine = ReturnType<Application['makeStateMachine']>;
export const events: typeof observe = observe;
export const login = NatsLogin.of({ servers: 'nats://127.0.0.1:4222' });
`;

/** `npx conclave up` or `view`, until it is interrupted as Ctrl-C does. */
class Served {
  /** What it prints when it serves. */
  readonly ready: Promise<Readonly<Record<string, string>>>;
  private readonly child: ChildProcess;
  private error = '';

  constructor(command: string, args: string[]) {
    const options = { cwd: project, env: environment, detached: true, stdio: ['ignore', 'pipe', 'pipe'] } as const;
    this.child = spawnGuarded('npx', ['conclave', command, '--json', ...args], {
      ...options,
      stdio: [...options.stdio],
    });
    this.child.stderr?.on('data', (data: Buffer) => {
      this.error += data;
    });
    this.ready = new Promise((resolve, reject) => {
      createInterface({ input: this.child.stdout as NodeJS.ReadableStream }).on('line', (line) => {
        const record = JSON.parse(line) as Readonly<Record<string, unknown>>;
        if (record.ready === true) resolve(record as Readonly<Record<string, string>>);
      });
      void exitOf(this.child).then(() => reject(new Error(`conclave ${command} has ended:\n${this.error}`)));
    });
  }

  async stop(): Promise<void> {
    if (this.child.pid !== undefined && this.child.exitCode === null) process.kill(-this.child.pid, 'SIGINT');
    await exitOf(this.child);
  }
}

describe('in a user’s project', () => {
  it('the samples of the client in the documents compile and run against `npx conclave up`, which finds the downloaded server', async () => {
    // As a fetch leaves it: by the name of its release, in the cache of the user.
    const cache = path.join(
      folder,
      'cache',
      'conclave',
      'nats-server',
      `${process.platform}-${process.arch}`,
      'v2.15.2',
    );
    mkdirSync(cache, { recursive: true });
    copyFileSync(await findNatsServer(), path.join(cache, 'nats-server'));

    const up = new Served('up', ['--peers', '5', '--placement', 'one', '--listen', '127.0.0.1:0']);
    try {
      const { nats_url: natsUrl = '', view_url: viewUrl = '' } = await up.ready;
      expect(await (await fetch(viewUrl)).text()).toContain('page.js');
      const samples = { readme: 'README.md', sample: 'docs/client.md' };
      for (const [name, document] of Object.entries(samples)) {
        const code = sample(document).replaceAll('nats://127.0.0.1:4222', natsUrl);
        writeFileSync(path.join(project, `${name}.ts`), code);
      }
      writeFileSync(path.join(project, 'others.ts'), others);
      const compilerOptions = {
        module: 'NodeNext',
        target: 'ES2023',
        lib: ['ES2023'],
        strict: true,
        verbatimModuleSyntax: true,
        typeRoots: [path.join(root, 'node_modules', '@types')],
        types: ['node'],
      };
      writeFileSync(path.join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['*.ts'] }));
      await run(process.execPath, [path.join(root, 'node_modules', 'typescript', 'bin', 'tsc'), '-p', '.']);
      for (const name of Object.keys(samples)) {
        expect(await run(process.execPath, [`${name}.js`])).toContain("key: 'greeting'");
      }
      await run(process.execPath, ['others.js']);
      const environmentOfCommand = { ...environment, NATS_URL: natsUrl };
      const status = await capture('npx', ['conclave', 'status', '--json'], {
        cwd: project,
        env: environmentOfCommand,
      });
      expect(status.code, status.output).toBe(0);
      expect(status.output).toContain('"n4"');
    } finally {
      await up.stop();
    }
  });

  it('`npx conclave view --simulate` serves the playground, and needs no NATS server', async () => {
    const view = new Served('view', ['--simulate', '--question', 'leader-dies', '--listen', '127.0.0.1:0']);
    try {
      const { url = '' } = await view.ready;
      expect(await (await fetch(url)).text()).toContain('page.js');
      expect((await fetch(new URL('page.js', url))).status).toBe(200);
      const stream = (await fetch(new URL('api/stream', url))).body?.pipeThrough(new TextDecoderStream()).getReader();
      let text = '';
      while (!text.includes('\n\n')) text += (await stream?.read())?.value ?? '';
      await stream?.cancel();
      expect(text).toContain('How does a change stay atomic if its leader dies?');
      const command = { command: 'next-message', parameters: {} };
      const options = {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify(command),
      };
      expect((await fetch(new URL('api/control', url), options)).status).toBe(200);
    } finally {
      await view.stop();
    }
  });
});
