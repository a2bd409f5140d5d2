/**
 * The numbers that a later history of a group's name gives out, revisions and lock tokens, are greater than all that
 * earlier ones have given out; and its ids of sessions and leases are new (promise 29; decisions 0054 and 0055). This
 * is checked on the replies that leaders send to clients, across resets, groups that are created again and groups that
 * are restored from a backup.
 */
import type { CommandResult, KvRequest } from '@conclave/protocol';
import type { Actor } from '../mesh/actor.js';
import type { Served } from '../mesh/run-observer.js';
import { type Invariant, Rule } from './invariant.js';

interface ReplyOfHistory {
  readonly group_uid?: string;
  readonly error?: unknown;
  readonly client_id?: string | number;
  readonly revision?: number;
  readonly results?: readonly CommandResult[];
}

/** Commands whose result has an id, a time, or an older revision in place of a new one. */
const withoutOwnNumber: readonly string[] = ['lease_grant', 'lease_keep'];

export class HistoriesCountUpwards extends Rule implements Invariant {
  readonly name = 'histories-count-upwards';
  readonly spansHistories = true;
  /** By history, ordered by their first replies: the highest number that it has given out. */
  private readonly highest = new Map<string, number>();
  /** By the id of a session or a lease: the history that gave it out. */
  private readonly historyOfId = new Map<string, string>();

  onServed(actor: Actor, { operation, request }: Served, reply: unknown): void {
    const { group_uid, error, ...rest } = reply as ReplyOfHistory;
    // Empty: the reply of an empty peer, which is in no history.
    if (group_uid === undefined || group_uid === '' || error !== undefined) return;
    if (!this.highest.has(group_uid)) this.highest.set(group_uid, 0);
    // Reads are ignored: any peer may answer them, also one in an earlier history.
    if (operation === 'watch' && rest.revision !== undefined) this.onNumber(actor, group_uid, rest.revision, operation);
    if (operation === 'open_session') this.onId(actor, group_uid, `session ${rest.client_id}`);
    if (operation !== 'batch') return;
    const { commands } = request as KvRequest<'batch'>;
    for (const [place, result] of (rest.results ?? []).entries()) {
      const [, name = ''] = commands[place] ?? [];
      if (result[0] !== 'done' || !result[2]) continue;
      if (name === 'lease_grant') this.onId(actor, group_uid, `lease ${result[1]}`);
      if (name === 'lock' && this.keepsLocks(group_uid)) continue;
      if (!withoutOwnNumber.includes(name)) this.onNumber(actor, group_uid, Number(result[1]), name);
    }
  }

  /**
   * A group that was reset at level 0 keeps its locks, also after it reaches level 1: a holder receives its earlier
   * token again.
   */
  private keepsLocks(groupUid: string): boolean {
    const configuration = this.record.commits.last?.effective?.configuration;
    if (configuration === undefined) return false;
    const { history } = configuration;
    return history === undefined || (history.group_uid === groupUid && history.base === 0);
  }

  private onNumber(actor: Actor, groupUid: string, number: number, what: string): void {
    for (const [earlier, highest] of this.highest) {
      if (earlier === groupUid) break;
      this.check(
        number > highest,
        () =>
          `${actor.name} gives out ${number} (${what}) in the history ${groupUid}, and ${earlier} before it has given out ${highest}`,
      );
    }
    this.highest.set(groupUid, Math.max(this.highest.get(groupUid) ?? 0, number));
  }

  private onId(actor: Actor, groupUid: string, id: string): void {
    const before = this.historyOfId.get(id);
    this.check(
      before === undefined || before === groupUid,
      () => `${actor.name} gives out ${id} in the history ${groupUid}, which ${before} has given out`,
    );
    this.historyOfId.set(id, groupUid);
  }
}
