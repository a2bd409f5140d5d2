/** Real NATS servers for tests: one, or a cluster; each can be killed, frozen and started again on its port. */
import type { ChildProcess } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { freePorts } from '../../packages/cli/src/processes/free-ports.js';
import { findNatsServer } from './find-nats.js';
import { exitOf, makeFolder, removeFolder, spawnGuarded } from './leftovers.js';

export { freePorts };

export interface NatsServer {
  readonly url: string;
  readonly port: number;
  /** Kills it at once (SIGKILL); resolves when it has ended. */
  kill(): Promise<void>;
  /** Restarts it on its port, with another configuration if one is given; resolves when it accepts connections. */
  restart(configuration?: string): Promise<void>;
  /** Reloads it with another configuration; resolves when that is effective. */
  reload(configuration: string): Promise<void>;
  /** What it has logged, the last lines. */
  readonly log: readonly string[];
  /** Pauses (SIGSTOP) and resumes (SIGCONT) it. */
  signal(signal: NodeJS.Signals): void;
  /** Kills it and removes its files. */
  stop(): Promise<void>;
}

export interface NatsServerOptions {
  /** More lines of its configuration. */
  readonly configuration?: string;
  /** Each line of its log. */
  readonly onLine?: (line: string) => void;
}

/** Starts a server on a free port of 127.0.0.1. */
export async function startNats(options: NatsServerOptions = {}): Promise<NatsServer> {
  for (let attempt = 1; ; attempt++) {
    const [port] = await freePorts(1);
    const server = new RealServer(await findNatsServer(), port as number, options.configuration ?? '', options.onLine);
    try {
      await server.restart();
      return server;
    } catch (error) {
      await server.stop();
      // Another process may use the port by now.
      if (attempt === 3) throw error;
    }
  }
}

/** How the servers of a cluster reach each other, if not directly. */
export interface RouteDetours {
  /** The port at which a server finds another one, whose own is `routePort`. */
  port(from: number, to: number, routePort: number): Promise<number>;
  /** The address that servers advertise to each other: an unused port, so that there is no other way. */
  readonly nowhere: number;
}

/** Starts servers that are one cluster, and waits until each has its routes to the others. */
export async function startNatsCluster(size = 3, detours?: RouteDetours): Promise<NatsServer[]> {
  const executable = await findNatsServer();
  const ports = await freePorts(3 * size);
  const routePorts = ports.slice(size, 2 * size);
  const monitorPorts = ports.slice(2 * size);
  const advertise = detours === undefined ? '' : `, advertise: "127.0.0.1:${detours.nowhere}"`;
  const configurationOf = async (index: number): Promise<string> => {
    const others = routePorts.map((port, to) => ({ port, to })).filter(({ to }) => to !== index);
    const found = others.map(({ port, to }) => detours?.port(index, to, port) ?? port);
    const routes = (await Promise.all(found)).map((port) => `nats-route://127.0.0.1:${port}`).join(', ');
    const cluster = `name: "test", listen: "127.0.0.1:${routePorts[index]}", routes: [${routes}], no_advertise: true`;
    return [
      `server_name: "test-${ports[index]}"`,
      `http: "127.0.0.1:${monitorPorts[index]}"`,
      `cluster { ${cluster}${advertise} }`,
    ].join('\n');
  };
  const servers = await Promise.all(
    ports.slice(0, size).map(async (port, index) => new RealServer(executable, port, await configurationOf(index))),
  );
  try {
    await Promise.all(servers.map((server) => server.restart()));
    await Promise.all(monitorPorts.map((port) => untilRouted(port, size - 1)));
    return servers;
  } catch (error) {
    await Promise.all(servers.map((server) => server.stop()));
    throw error;
  }
}

const readyWithinMs = 15_000;
const rememberedLines = 1000;

class RealServer implements NatsServer {
  readonly url: string;
  private readonly folder = makeFolder('nats');
  readonly log: string[] = [];
  private child: ChildProcess | undefined;
  private onLine: (line: string) => void = () => undefined;

  constructor(
    private readonly executable: string,
    readonly port: number,
    private configuration: string,
    private readonly listen: (line: string) => void = () => undefined,
  ) {
    this.url = `nats://127.0.0.1:${port}`;
  }

  async restart(configuration = this.configuration): Promise<void> {
    await this.kill();
    this.configuration = configuration;
    const child = spawnGuarded(this.executable, ['-c', this.writeFile()], { stdio: ['ignore', 'ignore', 'pipe'] });
    this.child = child;
    // It is read to its end, so that the server is never held up by a full pipe.
    createInterface({ input: child.stderr as NodeJS.ReadableStream }).on('line', (line) => {
      this.log.push(line);
      if (this.log.length > rememberedLines) this.log.shift();
      this.onLine(line);
      this.listen(line);
    });
    await this.waitForLine('Server is ready', child);
  }

  async reload(configuration: string): Promise<void> {
    this.configuration = configuration;
    this.writeFile();
    const reloaded = this.waitForLine('Reloaded server configuration', this.child as ChildProcess);
    this.signal('SIGHUP');
    await reloaded;
  }

  private writeFile(): string {
    const file = path.join(this.folder, 'nats.conf');
    writeFileSync(file, `listen: "127.0.0.1:${this.port}"\n${this.configuration}\n`);
    return file;
  }

  /** Resolves when it logs this. */
  private waitForLine(words: string, child: ChildProcess): Promise<void> {
    return new Promise((resolve, reject) => {
      const giveUp = (why: string) => reject(new Error(`the NATS server ${why}:\n${this.log.join('\n')}`));
      const onExit = () => giveUp('has ended');
      const timer = setTimeout(() => giveUp(`does not say "${words}" in time`), readyWithinMs);
      child.once('exit', onExit);
      this.onLine = (line) => {
        if (!line.includes(words)) return;
        clearTimeout(timer);
        child.off('exit', onExit);
        resolve();
      };
    });
  }

  async kill(): Promise<void> {
    const { child } = this;
    if (child === undefined) return;
    child.kill('SIGKILL');
    await exitOf(child);
  }

  signal(signal: NodeJS.Signals): void {
    this.child?.kill(signal);
  }

  async stop(): Promise<void> {
    await this.kill();
    removeFolder(this.folder);
  }
}

/** Resolves when the server has routes to this many others, by its monitoring endpoint. */
async function untilRouted(monitorPort: number, others: number): Promise<void> {
  const until = Date.now() + readyWithinMs;
  for (;;) {
    const response = await fetch(`http://127.0.0.1:${monitorPort}/routez`);
    const { routes } = (await response.json()) as { routes?: { remote_id: string }[] };
    if (new Set(routes?.map((route) => route.remote_id)).size >= others) return;
    if (Date.now() > until) throw new Error('the NATS servers do not find each other');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
