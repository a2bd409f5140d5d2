/**
 * Peers as child processes: `conclave run`, once for each actor or once for a whole peer. A process that dies is
 * started again, each time after a longer pause, until all are stopped.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import path from 'node:path';
import { actorKinds, ConclaveError, type GroupId, type PeerId } from '@conclave/protocol';
import type { NatsLogin } from '@conclave/protocol/login';
import { conclaveFile } from '../own-files.js';
import { hasEnded, stopChild, takeCharge } from './child.js';
import { lastComplaints } from './log-file.js';

/** `four`: a process for each actor; `one`: a process for a peer. */
export const placements = ['four', 'one'] as const;
export type Placement = (typeof placements)[number];

const readyTimeoutMs = 90_000;
const stopTimeoutMs = 10_000;
const firstPauseMs = 250;
const longestPauseMs = 10_000;
/** Who ran this long was well: its next pause is the first one again. */
const healthyAfterMs = 10_000;
/** Who has died this often without ever having been ready will not be. */
const maxFailedStarts = 3;

export interface PeerProcessesOptions {
  /** The servers, and what they are shown. */
  readonly login: NatsLogin;
  readonly groupId: GroupId;
  readonly prefix: string;
  readonly placement: Placement;
  /** A folder in which each peer has one of its own. */
  readonly dataDir: string;
  readonly logDir: string;
  /** Further environment of all processes. */
  readonly environment?: Readonly<Record<string, string>>;
}

export class PeerProcesses {
  private readonly slots: Slot[] = [];
  private stopped = false;

  /** @param say what happened to a process, for people */
  constructor(
    private readonly options: PeerProcessesOptions,
    private readonly say: (text: string) => void,
  ) {
    mkdirSync(options.logDir, { recursive: true });
  }

  get processCount(): number {
    return this.slots.length;
  }

  /**
   * Starts the processes of these peers. Ends when all are connected and hear what is sent to them.
   * @throws ConclaveError ESHUTDOWN where one does not come up, with its last loggedError
   */
  async start(peerIds: readonly PeerId[]): Promise<void> {
    const groups = this.options.placement === 'one' ? [actorKinds.join(',')] : actorKinds;
    const started = peerIds.flatMap((peerId) => groups.map((actors) => this.startSlot(peerId, actors)));
    await Promise.all(started.map((slot) => slot.ready));
  }

  /** Stops all, nodes first, so that no peer stands for election because another one stops. */
  async stop(): Promise<void> {
    this.stopped = true;
    await Promise.all(this.slots.map((slot) => slot.stop()));
  }

  /** Kills the processes of a peer, all at once, and lets them lie: `start` brings the peer back. */
  async kill(peerId: PeerId): Promise<void> {
    const killed = this.slots.filter((slot) => slot.peerId === peerId);
    for (const slot of killed) this.slots.splice(this.slots.indexOf(slot), 1);
    await Promise.all(killed.map((slot) => slot.stop('SIGKILL')));
  }

  /** The processes that run at the moment, by their names. */
  running(): { readonly name: string; readonly pid: number }[] {
    return this.slots.flatMap(({ name, pid }) => (pid === undefined ? [] : [{ name, pid }]));
  }

  /** The last loggedErrors in the logs, for a person to see why something failed. */
  loggedErrors(): string[] {
    return this.slots.flatMap((slot) => lastComplaints(slot.logFile).map((line) => `${slot.name}: ${line}`));
  }

  private startSlot(peerId: PeerId, actors: string): Slot {
    if (this.stopped) throw new ConclaveError('ESHUTDOWN', 'the processes are being stopped');
    const slot = new Slot(peerId, actors, this.options, this.say);
    this.slots.push(slot);
    slot.start();
    return slot;
  }
}

/** One process and its successors. */
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
    private readonly say: (text: string) => void,
  ) {
    this.name = actors.includes(',') ? peerId : `${peerId}-${actors}`;
    this.logFile = path.join(options.logDir, `${this.name}.log`);
    this.ready = new Promise((resolve, reject) => {
      this.resolveReady = resolve;
      this.rejectReady = reject;
    });
    // Whoever waits hears of it; that nobody does is no error of its own.
    this.ready.catch(() => undefined);
    this.readyTimer = setTimeout(() => this.giveUp(`not ready within ${readyTimeoutMs} ms`), readyTimeoutMs);
  }

  start(): void {
    const startedAt = performance.now();
    const log = openSync(this.logFile, this.deaths === 0 ? 'w' : 'a');
    const child = spawn(process.execPath, [conclaveFile, ...this.arguments()], {
      // Arguments are seen by all users of the machine, the environment is not.
      env: {
        ...process.env,
        ...this.options.environment,
        ...this.options.login.environment,
        CONCLAVE_EXIT_WITH_PARENT: '1',
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
    if (this.deaths > 0) this.say(`${this.name} is back`);
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
    this.say(`${this.name} ended with ${how}; it is started again in ${this.pauseMs} ms`);
    this.restarting = setTimeout(() => this.start(), this.pauseMs);
    this.pauseMs = Math.min(2 * this.pauseMs, longestPauseMs);
  }

  private giveUp(why: string): void {
    const loggedError = lastComplaints(this.logFile).at(-1);
    const detail = loggedError === undefined ? '' : `: ${loggedError}`;
    this.rejectReady(new ConclaveError('ESHUTDOWN', `${this.name} does not come up (${why})${detail}`));
  }
}

function isReady(message: unknown): boolean {
  return typeof message === 'object' && message !== null && 'type' in message && message.type === 'ready';
}
