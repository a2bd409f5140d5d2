// How the compose test uses Docker: the commands, the engine, the base images, one compose project.

import { execFile } from 'node:child_process';
import { createServer } from 'node:net';
import path from 'node:path';
import { promisify } from 'node:util';
import type { Login } from './plain-client.js';
import { until } from './until.js';

/** The project's folder. */
export const root = path.resolve(import.meta.dirname, '../..');
/** The compose files of a project without logins, as the variable COMPOSE_FILE names them. */
export const openFiles = 'docker-compose.yml:docker-compose.open.yml';
const maxOutputBytes = 64 * 1024 * 1024;

const execute = promisify(execFile);

interface RunOptions {
  env?: Record<string, string>;
}

/** Runs a command in the project's folder and answers its standard output; a failure carries all it printed. */
export async function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  try {
    const { stdout } = await execute(command, [...args], {
      cwd: root,
      env: { ...process.env, ...options.env },
      maxBuffer: maxOutputBytes,
    });
    return stdout.trim();
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
    throw new Error(`\`${command} ${args.join(' ')}\` failed:\n${stdout}${stderr}`, {
      cause: error,
    });
  }
}

export const docker = (...args: string[]): Promise<string> => run('docker', args);

const linesOf = (output: string): string[] => output.split('\n').filter((line) => line !== '');

const succeeds = (command: string, args: readonly string[]): Promise<boolean> =>
  run(command, args).then(
    () => true,
    () => false,
  );

/** Starts an engine if none answers; answers whether `stopEngine` has one to stop. */
export async function startEngine(): Promise<boolean> {
  const engine = path.join(root, 'docker/engine.sh');
  const before = await run(engine, ['status']);
  if (before !== 'none') return false;
  return (await run(engine, ['start'])) === 'started';
}

export const stopEngine = (): Promise<string> => run(path.join(root, 'docker/engine.sh'), ['stop']);

/** How a command ended, and what it printed. */
export interface Ended {
  readonly code: number;
  readonly out: string;
  readonly error: string;
}

/** Runs a command in the project's folder, however it ends. */
export async function runToEnd(command: string, args: readonly string[], options: RunOptions = {}): Promise<Ended> {
  try {
    const { stdout, stderr } = await execute(command, [...args], {
      cwd: root,
      env: { ...process.env, ...options.env },
      maxBuffer: maxOutputBytes,
    });
    return { code: 0, out: stdout, error: stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as { code?: unknown; stdout?: string; stderr?: string };
    if (typeof code !== 'number') throw error;
    return { code, out: stdout ?? '', error: stderr ?? '' };
  }
}

/** Pulls the base images, or makes them here where no registry answers. */
export async function fetchBaseImages(images: readonly string[]): Promise<void> {
  for (const image of images) {
    if (await succeeds('docker', ['image', 'inspect', image])) continue;
    if (await succeeds('docker', ['pull', image])) continue;
    await run(path.join(root, 'docker/local-images.sh'), []);
  }
}

/** An image that was built, and what takes it away again. */
export interface BuiltImage {
  readonly name: string;
  readonly remove: () => Promise<void>;
}

/** @param build builds the image of that name, which nothing else has */
export async function buildImage(name: string, build: () => Promise<unknown>): Promise<BuiltImage> {
  const before = await unnamedStages();
  await build();
  const stages = (await unnamedStages()).filter((stage) => !before.includes(stage));
  return {
    name,
    remove: async () => {
      await docker('image', 'rm', name);
      if (stages.length > 0) await docker('image', 'rm', ...stages);
    },
  };
}

/** The stages of our builds that stay as images without a name where BuildKit does not build. */
const unnamedStages = async (): Promise<string[]> =>
  linesOf(
    await docker(
      'image',
      'ls',
      '--quiet',
      '--no-trunc',
      '--filter',
      'dangling=true',
      '--filter',
      'label=conclave.stage',
    ),
  );

/** As many ports as asked for that are free on 127.0.0.1 now. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject).listen(0, '127.0.0.1', resolve);
      });
      return server;
    }),
  );
  const ports = servers.map((server) => {
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('a server without a port');
    return address.port;
  });
  await Promise.all(servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve()))));
  return ports;
}

export interface ContainerState {
  Status: string;
  ExitCode: number;
  StartedAt: string;
  Health?: { Status: string; Log: { ExitCode: number; Output: string }[] | null };
}

/** One compose project of the repository's compose file, under a name of its own. */
export class ComposeProject {
  readonly name: string;
  /** What is set from now on beside what it was made with, as in a file `.env`. */
  settings: Readonly<Record<string, string>> = {};
  readonly #env: Record<string, string>;
  readonly #command: readonly [string, ...string[]];

  private constructor(name: string, env: Record<string, string>, command: readonly [string, ...string[]]) {
    this.name = name;
    this.#env = env;
    this.#command = command;
  }

  /** `docker compose` where it is there, else `docker-compose`. */
  static async make(name: string, env: Record<string, string>): Promise<ComposeProject> {
    const command: readonly [string, ...string[]] = (await succeeds('docker', ['compose', 'version']))
      ? ['docker', 'compose']
      : ['docker-compose'];
    return new ComposeProject(name, { ...env, COMPOSE_PROJECT_NAME: name }, command);
  }

  compose(...args: string[]): Promise<string> {
    const [command, ...first] = this.#command;
    return run(command, [...first, ...args], { env: { ...this.#env, ...this.settings } });
  }

  /** Runs a command on this machine with the project's settings, however it ends. */
  runToEnd(command: string, args: readonly string[], env: Record<string, string> = {}): Promise<Ended> {
    return runToEnd(command, args, { env: { ...this.#env, ...this.settings, ...env } });
  }

  /** Runs `conclave restart --compose` on this machine. */
  restart(servers: string, ...more: readonly string[]): Promise<Ended> {
    const conclave = path.join(root, 'packages/cli/bin/conclave.js');
    const command = this.#command.join(' ');
    return this.runToEnd(process.execPath, [conclave, 'restart', '--compose', command, '--nats', servers, ...more]);
  }

  composeToEnd(args: readonly string[], env: Record<string, string> = {}): Promise<Ended> {
    const [command, ...first] = this.#command;
    return this.runToEnd(command, [...first, ...args], env);
  }

  /**
   * Removes containers and volumes, except those of these peers: as `down -v` of Compose 2 does without the profile of the spare
   * peers. Compose 1 removes these, too.
   */
  async removeExcept(peers: readonly string[]): Promise<void> {
    const others = async (what: readonly string[], id: string, label: string): Promise<string[]> => {
      const format = `{{.${id}}} {{.Label "com.docker.compose.${label}"}}`;
      const filter = `label=com.docker.compose.project=${this.name}`;
      return linesOf(await docker(...what, '--filter', filter, '--format', format))
        .map((line) => line.split(' '))
        .filter(([, name = '']) => !peers.some((peer) => name.startsWith(`${peer}-`)))
        .map(([found = '']) => found);
    };
    await docker('rm', '--force', ...(await others(['ps', '-a'], 'ID', 'service')));
    await docker('volume', 'rm', ...(await others(['volume', 'ls'], 'Name', 'volume')));
  }

  /** The login that `credentials` has made for a role. */
  async login(role: 'client' | 'operator'): Promise<Login> {
    const read = (file: string) =>
      this.compose('run', '--rm', '-T', '--no-deps', '--entrypoint', 'cat', role, `/credentials/${file}`);
    return { seed: await read('login.nk'), ca: await read('ca.pem'), inboxPrefix: `_INBOX.${role}` };
  }

  async containerOf(service: string): Promise<string> {
    const ids = await this.#list('ps', '-a', [`label=com.docker.compose.service=${service}`]);
    const [id] = ids;
    if (id === undefined || ids.length > 1) {
      throw new Error(`${ids.length} containers of the service ${service}`);
    }
    return id;
  }

  async stateOf(service: string): Promise<ContainerState> {
    const id = await this.containerOf(service);
    return JSON.parse(await docker('inspect', '--format', '{{json .State}}', id)) as ContainerState;
  }

  /** The settings of a container, as NAME=value. */
  async environmentOf(id: string): Promise<string[]> {
    return JSON.parse(await docker('inspect', '--format', '{{json .Config.Env}}', id)) as string[];
  }

  async kill(service: string): Promise<void> {
    await docker('kill', await this.containerOf(service));
  }

  /** Starts a container again that was killed: Docker's restart policy leaves those alone. */
  async startAgain(service: string): Promise<void> {
    await docker('start', await this.containerOf(service));
  }

  untilHealth(service: string, status: 'healthy' | 'unhealthy', timeoutMs: number): Promise<void> {
    let seen: ContainerState | undefined;
    return until(`${service} is ${status}`, timeoutMs, async () => {
      seen = await this.stateOf(service);
      return seen.Health?.Status === status ? true : undefined;
    }).then(
      () => undefined,
      (error: unknown) => {
        throw new Error(`${service} is not ${status}: ${JSON.stringify(seen)}`, { cause: error });
      },
    );
  }

  /** What the last health check of a service printed. */
  async lastHealthOutput(service: string): Promise<string> {
    const { Health } = await this.stateOf(service);
    return Health?.Log?.at(-1)?.Output ?? '';
  }

  /** All containers and the end of each one's log, for a test that failed. */
  async describe(): Promise<string> {
    const containers = await docker(
      'ps',
      '-a',
      '--filter',
      `label=com.docker.compose.project=${this.name}`,
      '--format',
      '{{.Names}}: {{.Status}}',
    );
    const logs = await this.compose('--profile', 'spare', 'logs', '--no-color', '--tail=25');
    return `${containers}\n${logs}`;
  }

  async down(): Promise<void> {
    await this.compose('--profile', 'spare', 'down', '--remove-orphans', '--timeout', '10');
  }

  /** Takes all away that the project made, its volumes too, and fails if anything is left. */
  async remove(): Promise<void> {
    await this.compose('--profile', 'spare', 'down', '--volumes', '--remove-orphans', '-t', '2');
    const left = [
      ...(await this.#list('ps', '-a', [])),
      ...(await this.#list('volume', 'ls', [])),
      ...(await this.#list('network', 'ls', [])),
    ];
    if (left.length > 0) throw new Error(`left behind: ${left.join(', ')}`);
  }

  async #list(command: string, option: string, filters: readonly string[]): Promise<string[]> {
    const all = [`label=com.docker.compose.project=${this.name}`, ...filters];
    const output = await docker(command, option, '--quiet', ...all.flatMap((filter) => ['--filter', filter]));
    return linesOf(output);
  }
}
