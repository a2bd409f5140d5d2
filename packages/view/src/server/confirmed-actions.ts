/**
 * Actions that wait for their confirmation.
 *
 * Invariants:
 * 1. An action is executed at most once, and only with the token that was returned for exactly this action.
 * 2. A token is valid for `confirmMs`; at most `limits.viewActions` wait.
 */
import { randomUUID } from 'node:crypto';
import { ConclaveError, limits } from '@conclave/protocol';

/** The time to read what is about to be done. */
const confirmMs = 60_000;

/** An admin command of the page. */
export interface Action {
  readonly command: string;
  /** Empty: the leader. */
  readonly peer: string;
  readonly request: Readonly<Record<string, unknown>>;
}

export class ConfirmedActions {
  private readonly waiting = new Map<string, { action: Action; untilMs: number }>();

  constructor(
    private readonly execute: (action: Action) => Promise<unknown>,
    private readonly nowMs: () => number = Date.now,
  ) {}

  /** Returns the token that `confirm` needs; nothing is executed. */
  prepare(action: Action): string {
    const oldest = this.waiting.keys().next().value;
    if (this.waiting.size >= limits.viewActions && oldest !== undefined) this.waiting.delete(oldest);
    const token = randomUUID();
    this.waiting.set(token, { action, untilMs: this.nowMs() + confirmMs });
    return token;
  }

  /**
   * Executes the action of a token.
   * @param action as the page shows it to the user
   * @throws ConclaveError EPERM (not done): no such token, its time is over, or it is of another action
   */
  async confirm(token: string, action: Action): Promise<unknown> {
    const waiting = this.waiting.get(token);
    this.waiting.delete(token);
    if (waiting === undefined || waiting.untilMs < this.nowMs()) {
      throw new ConclaveError('EPERM', 'this action was not prepared, or its confirmation came too late');
    }
    if (JSON.stringify(waiting.action) !== JSON.stringify(action)) {
      throw new ConclaveError('EPERM', 'the confirmation is for another action');
    }
    return this.execute(waiting.action);
  }
}
