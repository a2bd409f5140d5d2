/**
 * A command in a process group (and session) of its own, with a watchdog.
 * A shell starts the command once the watchdog knows the group. Therefore, whenever this process dies, either the command has not
 * begun, or the watchdog kills the group. In its own session the command can read from the terminal of this process, but the
 * terminal is not its controlling terminal and sends it no signals: this process forwards them.
 * A process that moves to another group (`setsid`) is not stopped.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:os';
import type { Writable } from 'node:stream';
import { watchdogFile } from '../own-files.js';

/** `exec` exits with 127 if there is no such command, and with 126 if it cannot be executed. */
const waitAndRun = 'read -r go <&3 && exec 3<&- && exec "$@"';
const lookMs = 20;

export class CommandGroup {
  /** The exit code of the command, as in a shell: after a signal 128 plus its number. */
  readonly ended: Promise<number>;

  private constructor(
    private readonly groupId: number,
    command: ChildProcess,
    private readonly watchdog: ChildProcess,
  ) {
    this.ended = new Promise((resolve) => {
      command.once('exit', (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
    });
  }

  /**
   * Starts a command.
   * @param leftMs returns how long the watchdog lets it run, unless it receives another time
   */
  static async start(command: readonly string[], env: NodeJS.ProcessEnv, leftMs: () => number): Promise<CommandGroup> {
    const watchdog = spawn(process.execPath, [watchdogFile], { stdio: ['pipe', 'pipe', 'ignore'], detached: true });
    // The command runs even if the watchdog has died.
    watchdog.stdin.on('error', () => undefined);
    const child = spawn('/bin/sh', ['-c', waitAndRun, 'conclave lock', ...command], {
      stdio: ['inherit', 'inherit', 'inherit', 'pipe'],
      detached: true,
      env,
    });
    await Promise.all([once(child, 'spawn'), once(watchdog, 'spawn')]);
    const group = new CommandGroup(child.pid as number, child, watchdog);
    watchdog.stdin.write(`group ${child.pid}\n`);
    await once(watchdog.stdout, 'data');
    group.mayRunFor(leftMs());
    const startSignal = child.stdio[3] as Writable;
    startSignal.on('error', () => undefined);
    startSignal.end('go\n');
    return group;
  }

  /** Makes the watchdog kill the group after this time, unless this method is called again. */
  mayRunFor(ms: number): void {
    this.watchdog.stdin?.write(`left ${Math.max(0, Math.floor(ms))}\n`);
  }

  /** Sends a signal to all processes of the group. */
  signal(signal: NodeJS.Signals): void {
    try {
      process.kill(-this.groupId, signal);
    } catch {
      // The group has ended, or its remaining processes belong to other users.
    }
  }

  isAlive(): boolean {
    try {
      process.kill(-this.groupId, 0);
      return true;
    } catch (error) {
      return (error as NodeJS.ErrnoException).code !== 'ESRCH';
    }
  }

  /** Returns whether no process of the group is left, as soon as that is so, or after this time. */
  async isGoneWithin(ms: number): Promise<boolean> {
    const untilMs = performance.now() + ms;
    while (this.isAlive()) {
      if (performance.now() >= untilMs) return false;
      await new Promise((resolve) => setTimeout(resolve, lookMs));
    }
    return true;
  }

  /** The group has ended: ends the watchdog. */
  close(): void {
    this.watchdog.stdin?.end('done\n');
    this.watchdog.unref();
  }
}
