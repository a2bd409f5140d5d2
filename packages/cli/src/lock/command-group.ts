/**
 * A command in a process group (and session) of its own, with a watchdog beside it.
 *
 * The command is started by a shell that waits until the watchdog knows the group: whenever this process dies, either the
 * command has not begun, or the watchdog kills the group. In a session of its own it can read from the terminal of this
 * process, which is not its controlling terminal, and gets no signal of it: this process forwards them.
 *
 * A process that moves to another group (`setsid`) is no longer reached.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:os';
import type { Writable } from 'node:stream';
import { watchdogFile } from '../own-files.js';

/** `exec` ends with 127 where there is no such command, with 126 where it cannot be executed. */
const waitAndRun = 'read -r go <&3 && exec 3<&- && exec "$@"';
const lookMs = 20;

export class CommandGroup {
  /** The exit code of the command, as a shell has it: 128 and the number of the signal that ended it. */
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
   * @param leftMs how long the watchdog is to let it run, unless it is told otherwise
   */
  static async start(command: readonly string[], env: NodeJS.ProcessEnv, leftMs: () => number): Promise<CommandGroup> {
    const watchdog = spawn(process.execPath, [watchdogFile], { stdio: ['pipe', 'pipe', 'ignore'], detached: true });
    // Without it the command runs all the same.
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
    const door = child.stdio[3] as Writable;
    door.on('error', () => undefined);
    door.end('go\n');
    return group;
  }

  /** Has the watchdog kill the group after so long, unless this is called again. */
  mayRunFor(ms: number): void {
    this.watchdog.stdin?.write(`left ${Math.max(0, Math.floor(ms))}\n`);
  }

  /** Sends a signal to all processes of the group. */
  signal(signal: NodeJS.Signals): void {
    try {
      process.kill(-this.groupId, signal);
    } catch {
      // It has ended, or what is left of it belongs to others.
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

  /** Returns whether no process of the group is left, as soon as that is so, or after so long. */
  async isGoneWithin(ms: number): Promise<boolean> {
    const untilMs = performance.now() + ms;
    while (this.isAlive()) {
      if (performance.now() >= untilMs) return false;
      await new Promise((resolve) => setTimeout(resolve, lookMs));
    }
    return true;
  }

  /** The group is gone: the watchdog ends. */
  close(): void {
    this.watchdog.stdin?.end('done\n');
    this.watchdog.unref();
  }
}
