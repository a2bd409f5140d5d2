/**
 * Replies to health requests for the actors of a process that waits for its storage, with the reason.
 *
 * Owns: a connection of its own, from the first reason on.
 */
import { Connection, type LineLog, newIncarnation, type Subscription, serveHealth } from '@conclave/actor';
import { Subjects } from '@conclave/protocol';
import { loginOfPeer } from '../login.js';
import type { RunOptions } from './run-options.js';

export class WaitingHealth {
  private reason = '';
  private connection: Connection | undefined;
  private subscriptions: Subscription[] = [];
  private isPaused = false;
  private isClosed = false;

  constructor(
    private readonly options: RunOptions,
    private readonly log: LineLog,
  ) {}

  /** Replies with this reason from now on. Connects if this is the first one. */
  report(reason: string): void {
    const { log } = this;
    if (withoutNumbers(reason) !== withoutNumbers(this.reason)) {
      log.write('error', 'the data folder cannot be used', { reason });
    }
    if (this.reason === '') {
      this.connect().catch((error) => {
        log.write('warn', 'health requests cannot be answered', { error: String(error) });
      });
    }
    this.reason = reason;
    this.isPaused = false;
    this.answer();
  }

  /** Resolves when no request is answered any more. To be called before the actors start: a process that finds another one does not start. */
  async pause(): Promise<void> {
    this.isPaused = true;
    for (const each of this.subscriptions) each.close();
    this.subscriptions = [];
    await this.connection?.settled();
  }

  async close(): Promise<void> {
    this.isClosed = true;
    if (this.reason !== '') this.log.write('info', 'no longer waits for the data folder');
    await this.connection?.close();
  }

  private async connect(): Promise<void> {
    const { log } = this;
    const { peer, natsLoginAttempts: loginAttempts } = this.options;
    const name = `conclave ${peer} waits for its storage`;
    this.connection = await Connection.open({ login: loginOfPeer(this.options), loginAttempts, name, log });
    if (this.isClosed) await this.connection.close();
    else this.answer();
  }

  private answer(): void {
    const { connection } = this;
    if (connection === undefined || this.isPaused || this.subscriptions.length > 0) return;
    const { peer: peerId, prefix, groups, actors } = this.options;
    const subjects = new Subjects(prefix);
    const waiting = { health: () => ({ healthy: false, reason: this.reason }), dropped: {} };
    const incarnation = newIncarnation();
    this.subscriptions = groups.flatMap((groupId) =>
      actors.map((actor) =>
        serveHealth(connection, subjects, { groupId, peerId, actor, incarnation }, waiting, { dropped: {} }),
      ),
    );
  }
}

/** Reasons that differ only in numbers, such as how long the disk hangs, are logged once. */
function withoutNumbers(reason: string): string {
  return reason.replace(/\d+/g, '');
}
