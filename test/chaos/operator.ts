/** Sends the operator's commands of a plan, and counts their outcomes. */
import { type ConclaveClient, ConclaveError } from '@conclave/client';
import { type Command, describeCommand } from './chaos-plan.js';

export interface CommandCount {
  asked: number;
  done: number;
  /** Not done or unknown, by code. */
  failed: Record<string, number>;
}

/** Changes exclude each other; a few open ones are enough. */
const maxOpen = 4;
const answerWithinMs = 20_000;

export class Operator {
  readonly counts: Record<Command['type'], CommandCount> = { change: none(), cancel: none(), transfer: none() };
  /** Errors of the client that are no outcomes; there must be none. */
  readonly errors: string[] = [];
  private readonly open = new Set<Promise<void>>();

  constructor(
    private readonly client: ConclaveClient,
    private readonly note: (text: string) => void,
  ) {}

  /** Sends a command, unless too many are open. */
  begin(command: Command): void {
    if (this.open.size >= maxOpen) return;
    const asked: Promise<void> = this.ask(command).finally(() => this.open.delete(asked));
    this.open.add(asked);
  }

  /** Resolves when the open commands have ended. */
  async end(): Promise<void> {
    await Promise.all(this.open);
  }

  private async ask(command: Command): Promise<void> {
    const count = this.counts[command.type];
    count.asked += 1;
    this.note(`asked: ${describeCommand(command)}`);
    try {
      await this.carryOut(command);
      count.done += 1;
      this.note(`done: ${describeCommand(command)}`);
    } catch (error) {
      const code = this.codeOf(error);
      count.failed[code] = (count.failed[code] ?? 0) + 1;
      this.note(`${code}: ${describeCommand(command)}: ${(error as Error).message}`);
    }
  }

  private carryOut(command: Command): Promise<unknown> {
    const { admin } = this.client;
    const timeoutMs = answerWithinMs;
    switch (command.type) {
      case 'change':
        return admin.changePeers(command.newPeers, { catchupTimeoutMs: command.timeoutMs, timeoutMs });
      case 'cancel':
        return admin.cancelChange({ timeoutMs });
      case 'transfer':
        return admin.transferLeader(command.to, { timeoutMs });
    }
  }

  private codeOf(error: unknown): string {
    if (error instanceof ConclaveError) return `${error.code} ${error.outcome}`;
    this.errors.push(error instanceof Error ? (error.stack ?? error.message) : String(error));
    return 'thrown';
  }
}

function none(): CommandCount {
  return { asked: 0, done: 0, failed: {} };
}
