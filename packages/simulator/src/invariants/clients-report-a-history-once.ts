/**
 * A client reports the end of its history once, before it uses another one: this is how the application learns that
 * its locks, leases and watches are lost (promise 29; decision 0055).
 */
import type { ClientStep } from '../mesh/run-observer.js';
import { type Invariant, Rule } from './invariant.js';

export class ClientsReportAHistoryOnce extends Rule implements Invariant {
  readonly name = 'clients-report-a-history-once';
  readonly spansHistories = true;
  /** By the run of a client: the histories that it has reported as ended. */
  private readonly reported = new WeakMap<object, Set<string>>();

  onClientStepped(client: object, { name, before, after, ended }: ClientStep): void {
    const reported = this.reported.get(client) ?? new Set();
    this.reported.set(client, reported);
    for (const groupUid of ended) {
      this.check(!reported.has(groupUid), () => `${name} reports twice that the history ${groupUid} has ended`);
      this.check(groupUid === before, () => `${name} reports that ${groupUid} has ended, and uses ${before}`);
      reported.add(groupUid);
    }
    this.check(
      before === undefined || before === after || reported.has(before),
      () => `${name} uses ${after}, and has not reported that ${before} has ended`,
    );
    this.check(
      after === undefined || !reported.has(after),
      () => `${name} uses ${after}, which it has reported as ended`,
    );
  }
}
