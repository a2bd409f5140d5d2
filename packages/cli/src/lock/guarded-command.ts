/**
 * Runs a command while a lock is held.
 * Invariant: no process of the command's group is left when another client may hold the lock. The command is therefore stopped
 * before the lease can end, and the lock is released only when all processes of the group have ended, including those that the
 * command started and left running.
 */
import type { Lock } from '@conclave/client';
import { ConclaveError } from '@conclave/protocol';
import type { Output } from '../output.js';
import { CommandGroup } from './command-group.js';
import { type StopTimes, stopTimesOf } from './stop-times.js';

/** How long the processes may run after SIGTERM or SIGHUP while the lock is held. */
const graceMs = 5000;
/** The same if the lock was lost, and another client may hold it already. */
const graceAfterLossMs = 500;
/** A killed process has ended after this time, or hangs in its kernel. */
const killedMs = 2000;

const forwarded = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGWINCH'] as const;

export class GuardedCommand {
  private readonly times: StopTimes;
  private readonly timers = new Set<NodeJS.Timeout>();
  private lastOverdueMs = Number.NEGATIVE_INFINITY;
  private isTerminating = false;

  private constructor(
    private readonly lock: Lock,
    private readonly group: CommandGroup,
    private readonly output: Output,
    ttlMs: number,
  ) {
    this.times = stopTimesOf(ttlMs);
  }

  /**
   * Runs the command to its end. If the lock is lost, stops it.
   * @returns its exit code, as in a shell; undefined: it was stopped, because its lease could not be renewed in time
   */
  static async run(lock: Lock, command: readonly string[], ttlMs: number, output: Output): Promise<number | undefined> {
    const env = { ...process.env, CONCLAVE_LOCK_TOKEN: String(lock.token) };
    const { watchdogMs } = stopTimesOf(ttlMs);
    const group = await CommandGroup.start(command, env, () => lock.leftMs() - watchdogMs);
    return new GuardedCommand(lock, group, output, ttlMs).toItsEnd();
  }

  private async toItsEnd(): Promise<number | undefined> {
    const { lock, group } = this;
    const onSignal = (signal: NodeJS.Signals) => this.forward(signal);
    // If Ctrl-Z paused this process, it would lose the lock while the command continued.
    const ignore = () => undefined;
    for (const signal of forwarded) process.on(signal, onSignal);
    process.on('SIGTSTP', ignore);
    // A warning cannot be written to a terminal that is closed.
    process.stderr.on('error', ignore);
    lock.onOverdue((leftMs) => this.onOverdue(leftMs));
    const onLoss = () => this.onLoss();
    lock.signal.addEventListener('abort', onLoss);
    if (lock.signal.aborted) onLoss();
    const looking = setInterval(() => this.look(), this.times.lookMs);
    try {
      const code = await group.ended;
      const wasStopped = this.isTerminating;
      await this.endTheRest();
      return wasStopped ? undefined : code;
    } finally {
      clearInterval(looking);
      for (const timer of this.timers) clearTimeout(timer);
      lock.signal.removeEventListener('abort', onLoss);
      for (const signal of forwarded) process.off(signal, onSignal);
      process.off('SIGTSTP', ignore);
      process.stderr.off('error', ignore);
      group.close();
    }
  }

  private forward(signal: NodeJS.Signals): void {
    this.group.signal(signal);
    // The terminal is closed, so no user can stop the command.
    if (signal === 'SIGHUP') this.killAfter(graceMs);
  }

  private look(): void {
    if (this.lock.signal.aborted) return;
    const leftMs = this.lock.leftMs();
    this.group.mayRunFor(leftMs - this.times.watchdogMs);
    if (leftMs <= this.times.killMs) {
      this.group.signal('SIGKILL');
    } else if (leftMs > this.times.terminateMs) {
      this.isTerminating = false;
    } else if (!this.isTerminating) {
      this.isTerminating = true;
      this.warn(`the lease could not be renewed and ends in ${Math.round(leftMs)} ms: the command is stopped`);
      this.group.signal('SIGTERM');
    }
  }

  private onOverdue(leftMs: number): void {
    // Printed once, each time that renewals begin to fail.
    if (leftMs > this.lastOverdueMs)
      this.warn(`a renewal is overdue; the lock is held for ${Math.round(leftMs)} ms more`);
    this.lastOverdueMs = leftMs;
  }

  private onLoss(): void {
    const { reason } = this.lock.signal;
    const isTimeout = reason instanceof ConclaveError && reason.code === 'ETIMEDOUT';
    if (isTimeout) return this.group.signal('SIGKILL');
    this.group.signal('SIGTERM');
    this.group.mayRunFor(graceAfterLossMs);
    this.killAfter(graceAfterLossMs);
  }

  private killAfter(ms: number): void {
    this.timers.add(setTimeout(() => this.group.signal('SIGKILL'), ms));
  }

  /** The command has ended; the processes of its group that still run must end, too. */
  private async endTheRest(): Promise<void> {
    const { group } = this;
    if (!group.isAlive()) return;
    group.signal('SIGTERM');
    if (await group.isGoneWithin(graceMs)) return;
    group.signal('SIGKILL');
    if (!(await group.isGoneWithin(killedMs))) this.warn('a process of the command could not be killed');
  }

  private warn(text: string): void {
    this.output.note(`conclave: lock ${JSON.stringify(this.lock.name)}: ${text}`);
  }
}
