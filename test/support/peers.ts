/**
 * Peers of real processes for tests: four processes each or one, to be killed, stopped and started again one by one.
 * They run what was built (`packages/cli/bundle`).
 */
import type { ChildProcess } from 'node:child_process';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { exitOf, makeFolder, removeFolder, spawnGuarded } from './leftovers.js';

export const actorKinds = ['log-store', 'ballot-box', 'replicator', 'node'] as const;
export type ActorKind = (typeof actorKinds)[number];
/** Four processes a peer; one; or two, of which one is the log-store. */
export type Placement = 'four' | 'two' | 'one';

/** The actors of each process of a peer. */
export const placements: Record<Placement, readonly (readonly ActorKind[])[]> = {
  four: actorKinds.map((kind) => [kind]),
  two: [['log-store'], ['ballot-box', 'replicator', 'node']],
  one: [actorKinds],
};

export interface PeerOptions {
  readonly peer: string;
  /** NATS servers, the preferred one first; or those of the process that hosts these actors. */
  readonly nats: readonly string[] | ((actors: readonly ActorKind[]) => readonly string[]);
  readonly placement?: Placement;
  readonly groups?: readonly string[];
  /** Kept over restarts; without it the peer has a folder that `stop` removes. */
  readonly dataDir?: string;
  /** More options of `conclave run`. */
  readonly args?: readonly string[];
  /** More of the environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** And more of it, asked for at each start. */
  readonly envAtStart?: () => Readonly<Record<string, string>>;
  /** The command of another build than this one, asked for at each start; undefined: this one's. */
  readonly command?: () => string | undefined;
  /** Each line of the log of one of its processes, as it was written. */
  readonly onLine?: (processName: string, line: string) => void;
}

/** A line of a process's log, or what it printed instead. */
export interface LogLine {
  readonly level: number;
  readonly msg: string;
  readonly [field: string]: unknown;
}

const ownCommand = fileURLToPath(new URL('../../packages/cli/bin/conclave.js', import.meta.url));
const rememberedLines = 2000;

/** One process, over all of its runs. */
export class ActorProcess {
  /** The last lines of its log. */
  readonly lines: LogLine[] = [];
  private child: ChildProcess | undefined;
  private waiting: { matches: (line: LogLine) => boolean; resolve: (line: LogLine) => void }[] = [];

  constructor(
    readonly name: string,
    private readonly args: readonly string[],
    private readonly env: Readonly<Record<string, string>>,
    private readonly listen?: PeerOptions['onLine'],
    private readonly command: () => string | undefined = () => undefined,
    private readonly envAtStart: () => Readonly<Record<string, string>> = () => ({}),
  ) {}

  /** Resolves when it is ready. @throws Error with its log if it ends before. */
  async start(): Promise<void> {
    const child = spawnGuarded(process.execPath, [this.command() ?? ownCommand, 'run', ...this.args], {
      env: { ...process.env, CONCLAVE_EXIT_WITH_PARENT: '1', ...this.env, ...this.envAtStart() },
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    this.child = child;
    this.isPaused = false;
    createInterface({ input: child.stderr as NodeJS.ReadableStream }).on('line', (line) => this.onLine(line));
    const ready = new Promise<true>((resolve) => child.on('message', () => resolve(true)));
    const started = await Promise.race([ready, exitOf(child)]);
    if (started !== true) throw new Error(`${this.name} ended with ${started.code ?? started.signal}:\n${this.log()}`);
  }

  get isRunning(): boolean {
    const { child } = this;
    return child !== undefined && child.exitCode === null && child.signalCode === null;
  }

  get processId(): number | undefined {
    return this.child?.pid;
  }

  /** Whether it is paused. */
  isPaused = false;

  /** Sends a signal: SIGSTOP and SIGCONT to pause and resume it. */
  signal(signal: NodeJS.Signals): void {
    this.isPaused = signal === 'SIGSTOP' || (this.isPaused && signal !== 'SIGCONT');
    this.child?.kill(signal);
  }

  /** `kill -9`; resolves when it has ended. */
  async kill(): Promise<void> {
    this.signal('SIGKILL');
    await this.ended();
  }

  /** Stops it; returns its exit. */
  async stop(): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
    // A paused process would not receive the signal.
    this.signal('SIGCONT');
    this.signal('SIGTERM');
    return this.ended();
  }

  /** Resolves with its exit. */
  ended(): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
    return this.child === undefined ? Promise.resolve({ code: 0, signal: null }) : exitOf(this.child);
  }

  /** The next line of its log that matches, or one that has been written already (`past`). */
  line(matches: (line: LogLine) => boolean, past = true): Promise<LogLine> {
    const found = past ? this.lines.find(matches) : undefined;
    if (found !== undefined) return Promise.resolve(found);
    return new Promise((resolve) => this.waiting.push({ matches, resolve }));
  }

  /** The end of its log output, to show why a test failed. */
  log(): string {
    return this.lines.map((line) => JSON.stringify(line)).join('\n');
  }

  private onLine(text: string): void {
    this.listen?.(this.name, text);
    const line = parseLine(text);
    this.lines.push(line);
    if (this.lines.length > rememberedLines) this.lines.shift();
    for (const { resolve } of this.waiting.filter(({ matches }) => matches(line))) resolve(line);
    this.waiting = this.waiting.filter(({ matches }) => !matches(line));
  }
}

/** A peer's processes. */
export class Peer {
  readonly processes: readonly ActorProcess[];
  readonly dataDir: string;
  private readonly ownsData: boolean;
  private readonly placed: readonly (readonly ActorKind[])[];

  constructor(readonly options: PeerOptions) {
    const { peer, nats, groups = ['main'], placement = 'four', dataDir, args = [], env = {} } = options;
    this.ownsData = dataDir === undefined;
    this.dataDir = dataDir ?? path.join(makeFolder(peer), 'data');
    const common = ['--peer', peer, '--groups', groups.join(), '--data-dir', this.dataDir, ...args];
    this.placed = placements[placement];
    this.processes = this.placed.map((actors) => {
      const servers = typeof nats === 'function' ? nats(actors) : nats;
      const own = ['--actors', actors.join(), '--nats', servers.join()];
      const { onLine, command, envAtStart } = options;
      return new ActorProcess(`${peer} ${actors.join()}`, [...common, ...own], env, onLine, command, envAtStart);
    });
  }

  /** The process that hosts an actor. */
  process(actor: ActorKind): ActorProcess {
    return this.processes[this.placed.findIndex((actors) => actors.includes(actor))] as ActorProcess;
  }

  /** Starts its processes that do not run. */
  async start(): Promise<void> {
    await Promise.all(this.processes.filter(({ isRunning }) => !isRunning).map((each) => each.start()));
  }

  async kill(): Promise<void> {
    await Promise.all(this.processes.map((each) => each.kill()));
  }

  /** Stops its processes in order, and removes its data, unless they were given a place. */
  async stop(): Promise<void> {
    await Promise.all(this.processes.map((each) => each.stop()));
    if (this.ownsData) removeFolder(path.dirname(this.dataDir));
  }

  log(): string {
    return this.processes.map((each) => `--- ${each.name}\n${each.log()}`).join('\n');
  }
}

/** Starts a peer; resolves when all of its processes are ready. */
export async function startPeer(options: PeerOptions): Promise<Peer> {
  const peer = new Peer(options);
  try {
    await peer.start();
    return peer;
  } catch (error) {
    await peer.kill();
    await peer.stop();
    throw error;
  }
}

function parseLine(text: string): LogLine {
  try {
    const line: unknown = JSON.parse(text);
    if (typeof line === 'object' && line !== null && 'msg' in line) return line as LogLine;
  } catch {
    // A crash of Node itself is no JSON.
  }
  return { level: 60, msg: text };
}
