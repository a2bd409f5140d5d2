/**
 * Peers as child processes: `conclave run`, once for each actor or once for a whole peer. A process that dies is started again,
 * each time after a longer pause, until all are stopped.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import path from 'node:path';
import { actorKinds, ConclaveError, type GroupId, type PeerId } from '@conclave/protocol';
import type { NatsLogin } from '@conclave/protocol/login';
import { makeFolder } from '../make-folder.js';
import { conclaveFile } from '../own-files.js';
import { hasEnded, stopChild, takeCharge } from './child.js';
import { lastErrors } from './log-file.js';

/** `four`: a process for each actor; `one`: a process for a peer. */
export const placements = ['four', 'one'] as const;
export type Placement = (typeof placements)[number];

const readyTimeoutMs = 90_000;
const stopTimeoutMs = 10_000;
const firstPauseMs = 250;
const longestPauseMs = 10_000;
/** If a process ran this long, the pause before its next start is the shortest again. */
const healthyAfterMs = 10_000;
/** A process that has died this often without becoming ready is not started again. */
const maxFailedStarts = 3;

export interface PeerProcessesOptions {
  /** The NATS servers and the login. */
  readonly login: NatsLogin;
  readonly groupId: GroupId;
  readonly prefix: string;
  readonly placement: Placement;
  /** A folder with one folder for each peer. */
  readonly dataDir: string;
  readonly logDir: string;
  /** Additional environment variables of all processes. */
  readonly environment?: Readonly<Record<string, string>>;
}

export class PeerProcesses {
  private readonly slots: Slot[] = [];
  private stopped = false;

  /** @param onNote receives what happened to a process, for people */
  constructor(
    private readonly options: PeerProcessesOptions,
    private readonly onNote: (text: string) => void,
  ) {
    makeFolder(options.logDir);
  }

  get processCount(): number {
    return this.slots.length;
  }

  /**
   * Starts the processes of these peers. Resolves when all are connected and receive messages.
   * @throws ConclaveError ESHUTDOWN if one does not start, with the last error that it logged
   */
  async start(peerIds: readonly PeerId[]): Promise<void> {
    const groups = this.options.placement === 'one' ? [actorKinds.join(',')] : actorKinds;
    const started = peerIds.flatMap((peerId) => groups.map((actors) => this.startSlot(peerId, actors)));
    await Promise.all(started.map((slot) => slot.ready));
  }

  /** Stops all processes, nodes first, so that no peer campaigns because another one stops. */
  async stop(): Promise<void> {
    this.stopped = true;
    await Promise.all(this.slots.map((slot) => slot.stop()));
  }

  /** Kills the processes of a peer, all at once; `start` starts them again. */
  async kill(peerId: PeerId): Promise<void> {
    const killed = this.slots.filter((slot) => slot.peerId === peerId);
    for (const slot of killed) this.slots.splice(this.slots.indexOf(slot), 1);
    await Promise.all(killed.map((slot) => slot.stop('SIGKILL')));
  }

  /** Returns the running processes by name. */
  running(): { readonly name: string; readonly pid: number }[] {
    return this.slots.flatMap(({ name, pid }) => (pid === undefined ? [] : [{ name, pid }]));
  }

  private startSlot(peerId: PeerId, actors: string): Slot {
    if (this.stopped) throw new ConclaveError('ESHUTDOWN', 'the processes are being stopped');
    const slot = new Slot(peerId, actors, this.options, this.onNote);
    this.slots.push(slot);
    slot.start();
    return slot;
  }
}

/** One process and the later processes that replace it. */
class Slot {
  readonly name: string;
  readonly logFile: string;
  readonly ready: Promise<void>;
  private resolveReady: () => void = () => undefined;
  private rejectReady: (error: Error) => void = () => undefined;
  private child: ChildProcess | undefined;
  private pauseMs = firstPauseMs;
  private deaths = 0;
  private wasReady = false;
  private stopped = false;
  private restarting: NodeJS.Timeout | undefined;
  private readonly readyTimer: NodeJS.Timeout;

  constructor(
    readonly peerId: PeerId,
    private readonly actors: string,
    private readonly options: PeerProcessesOptions,
    private readonly onNote: (text: string) => void,
  ) {
    this.name = actors.includes(',') ? peerId : `${peerId}-${actors}`;
    this.logFile = path.join(options.logDir, `${this.name}.log`);
    this.ready = new Promise((resolve, reject) => {
      this.resolveReady = resolve;
      this.rejectReady = reject;
    });
    // The caller that awaits it receives the error; without one, the error is ignored.
    this.ready.catch(() => undefined);
    this.readyTimer = setTimeout(() => this.giveUp(`not ready within ${readyTimeoutMs} ms`), readyTimeoutMs);
  }

  start(): void {
    const startedAt = performance.now();
    const log = openSync(this.logFile, this.deaths === 0 ? 'w' : 'a');
    const child = spawn(process.execPath, [conclaveFile, ...this.arguments()], {
      // All users of the machine can see arguments, but not the environment.
      env: {
        ...process.env,
        ...this.options.environment,
        ...this.options.login.environment,
        CONCLAVE_EXIT_WITH_PARENT: '1',
        // They cannot share one port.
        CONCLAVE_HTTP: 'off',
      },
      stdio: ['ignore', log, log, 'ipc'],
      detached: true,
    });
    closeSync(log);
    takeCharge(child);
    this.child = child;
    child.on('message', (message) => {
      if (isReady(message)) this.onReady();
    });
    child.once('error', (error) => this.giveUp(error.message));
    child.once('exit', (code, signal) => this.onExit(signal ?? `code ${code}`, performance.now() - startedAt));
  }

  /** Undefined: it does not run at the moment. */
  get pid(): number | undefined {
    return this.child === undefined || hasEnded(this.child) ? undefined : this.child.pid;
  }

  async stop(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    this.stopped = true;
    clearTimeout(this.restarting);
    clearTimeout(this.readyTimer);
    this.rejectReady(new ConclaveError('ESHUTDOWN', `${this.name} is being stopped`));
    const child = this.child;
    if (child !== undefined && !hasEnded(child)) await stopChild(child, stopTimeoutMs, () => child.kill(signal));
  }

  private arguments(): string[] {
    const { groupId, prefix, dataDir } = this.options;
    return [
      'run',
      ...['--peer', this.peerId],
      ...['--actors', this.actors],
      ...['--groups', groupId],
      ...['--prefix', prefix],
      ...['--data-dir', path.join(dataDir, this.peerId)],
    ];
  }

  private onReady(): void {
    clearTimeout(this.readyTimer);
    if (this.deaths > 0) this.onNote(`${this.name} is back`);
    this.wasReady = true;
    this.resolveReady();
  }

  private onExit(how: string, ranMs: number): void {
    if (this.stopped) return;
    this.deaths += 1;
    if (!this.wasReady && this.deaths >= maxFailedStarts) {
      this.giveUp(`ended with ${how}`);
      return;
    }
    if (ranMs > healthyAfterMs) this.pauseMs = firstPauseMs;
    this.onNote(`${this.name} ended with ${how}; it is started again in ${this.pauseMs} ms`);
    this.restarting = setTimeout(() => this.start(), this.pauseMs);
    this.pauseMs = Math.min(2 * this.pauseMs, longestPauseMs);
  }

  private giveUp(why: string): void {
    const loggedError = lastErrors(this.logFile).at(-1);
    const detail = loggedError === undefined ? '' : `: ${loggedError}`;
    this.rejectReady(new ConclaveError('ESHUTDOWN', `${this.name} does not start (${why})${detail}`));
  }
}

function isReady(message: unknown): boolean {
  return typeof message === 'object' && message !== null && 'type' in message && message.type === 'ready';
}
