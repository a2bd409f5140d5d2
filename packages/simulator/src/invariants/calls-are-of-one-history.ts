/**
 * A request that names a history, or that uses a client's session of one, is not carried out in another history of the
 * group's name, and is rejected there as not done (promise 29; decision 0055).
 */
import type { ErrorBody } from '@conclave/protocol';
import type { Actor } from '../mesh/actor.js';
import type { Served } from '../mesh/run-observer.js';
import { type Invariant, Rule } from './invariant.js';

interface Naming {
  readonly group_uid?: string;
  readonly client_id?: string | number;
}

interface ReplyOfHistory extends Naming {
  readonly error?: ErrorBody;
  readonly results?: readonly (readonly unknown[])[];
}

export class CallsAreOfOneHistory extends Rule implements Invariant {
  readonly name = 'calls-are-of-one-history';
  readonly spansHistories = true;
  /** By the id of a client's session: the history that opened it. */
  private readonly historyOfSession = new Map<string | number, string>();

  onServed(actor: Actor, { operation, request, groupUid }: Served, reply: unknown): void {
    const { group_uid: named, client_id } = request as Naming;
    const { error, results, client_id: opened, group_uid: answering } = reply as ReplyOfHistory;
    if (error !== undefined) {
      const isOther = named !== undefined && named !== groupUid && error.code === 'EHISTORY';
      this.check(
        !isOther || error.outcome === 'not_done',
        () => `${actor.name} refuses what is for the history ${named} as ${error.outcome}, in ${groupUid}`,
      );
      return;
    }
    this.check(
      named === undefined || named === groupUid,
      () => `${actor.name} carries out ${operation} in the history ${groupUid}, which is for ${named}`,
    );
    if (opened !== undefined && answering !== undefined) this.historyOfSession.set(opened, answering);
    const ofSession = client_id === undefined ? undefined : this.historyOfSession.get(client_id);
    const isDone = results?.some(([outcome]) => outcome === 'done') === true;
    this.check(
      ofSession === undefined || ofSession === groupUid || !isDone,
      () => `${actor.name} writes in the history ${groupUid} for a session of ${ofSession}`,
    );
  }
}
