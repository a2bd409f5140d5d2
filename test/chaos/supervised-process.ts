/** Restarts a process as a supervisor would, and reports an unexpected exit. */
import type { ActorProcess, LogLine } from '../support/peers.js';

export interface Death {
  readonly process: string;
  /** Its exit code, or the signal that ended it. */
  readonly exit: string;
  /** Why, by its log. */
  readonly lastWords: string;
  /** The end of its log. */
  readonly log: readonly LogLine[];
}

/** A process that keeps dying is started again so often, not more. */
const maxRestarts = 10;
const restartAfterMs = 500;
const reportedLines = 12;
const fatalLevel = 60;

export class SupervisedProcess {
  /** Settled when it is ready, or dead and not to be started again. */
  private starting: Promise<void> = Promise.resolve();
  /** Of the run that is going on: whether its end is meant. */
  private run = { endIsMeant: true };
  private restarts = 0;

  constructor(
    readonly process: ActorProcess,
    private readonly onDeath: (death: Death) => void,
  ) {}

  get name(): string {
    return this.process.name;
  }

  /** Starts it, unless it runs; settled when it is ready. */
  start(): Promise<void> {
    if (!this.process.isRunning) this.starting = this.startOnce();
    return this.starting;
  }

  /** `kill -9`. */
  async kill(): Promise<void> {
    this.run.endIsMeant = true;
    await this.process.kill();
  }

  signal(signal: NodeJS.Signals): void {
    this.process.signal(signal);
  }

  /** Stops it; an exit code other than 0 is an unexpected exit. */
  async stop(): Promise<void> {
    if (!this.process.isRunning) return;
    this.run.endIsMeant = true;
    const { code, signal } = await this.process.stop();
    if (code !== 0) this.report(`${code ?? signal} when it was stopped`);
  }

  private async startOnce(): Promise<void> {
    const run = { endIsMeant: false };
    this.run = run;
    const ready = this.process.start();
    void this.watch(run);
    // Its exit is reported by the observer of the process.
    await ready.catch(() => undefined);
  }

  private async watch(run: { readonly endIsMeant: boolean }): Promise<void> {
    const { code, signal } = await this.process.ended();
    if (run.endIsMeant) return;
    this.report(String(code ?? signal));
    this.restarts += 1;
    if (this.restarts > maxRestarts) return;
    await new Promise((resolve) => setTimeout(resolve, restartAfterMs));
    if (!run.endIsMeant) await this.start();
  }

  private report(exit: string): void {
    const log = this.process.lines.slice(-reportedLines);
    const fatal = log.findLast(({ level }) => level >= fatalLevel) ?? log.at(-1);
    this.onDeath({ process: this.name, exit, lastWords: String(fatal?.stack ?? fatal?.msg ?? 'none'), log });
  }
}
