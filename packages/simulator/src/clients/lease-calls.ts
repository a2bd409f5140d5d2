/**
 * Leases of keys in a run: each client has leases under names of its own. It grants and keeps them, attaches keys to
 * them, revokes them, or lets them end. A call that arrives while its lease is being granted waits for the id.
 */
import type { Settlement } from '@conclave/client';
import type { KvReply, LeaseId } from '@conclave/protocol';
import type { ClientCommand } from '../language/command.js';
import type { Coverage } from '../mesh/coverage.js';
import type { RecordedCall } from './history.js';
import type { VirtualClient } from './virtual-client.js';

type Settled = (settlement: Settlement, groupUid?: string) => void;

/** `waiting`: calls to make once the id is known, or the grant has failed. */
interface Held {
  leaseId: LeaseId | undefined;
  readonly waiting: (() => void)[];
  isPending: boolean;
}

const noLease: Settlement = {
  outcome: 'not_done',
  error: { code: 'EINVAL', message: 'the client has received no lease id', outcome: 'not_done' },
};

export class LeaseCalls {
  /** By client and name. */
  private readonly held = new Map<string, Held>();

  call(client: VirtualClient, command: ClientCommand, recorded: RecordedCall, settled: Settled): void {
    if (command.operation === 'grant') return this.grant(client, command.key, command.ttl, recorded, settled);
    const name = command.operation === 'put' ? (command.lease ?? '') : command.key;
    const held = this.held.get(idOf(client.name, name));
    const use = (): void => {
      const leaseId = held?.leaseId;
      if (leaseId === undefined) return settled(noLease);
      recorded.leaseId = leaseId;
      if (command.operation === 'keep') return client.call({ operation: 'lease_keep', leaseId }, settled);
      if (command.operation === 'revoke') return client.call({ operation: 'lease_revoke', leaseId }, settled);
      if (command.operation !== 'put') throw new Error(`${command.operation} uses no lease`);
      const { key, value } = command;
      client.call({ operation: 'put', key, value, leaseId }, settled);
    };
    if (held?.isPending === true) held.waiting.push(use);
    else use();
  }

  /** A new client has this name from now on. */
  forget(client: string): void {
    for (const id of this.held.keys()) if (id.startsWith(`${client} `)) this.held.delete(id);
  }

  count({ operation, result, leaseId, outcome, code }: RecordedCall, coverage: Coverage): void {
    if (operation === 'put' && leaseId !== undefined && outcome === 'ok') coverage.count('key tied to a lease');
    if (operation === 'revoke')
      coverage.count(result?.changed === true ? 'lease revoked' : 'lease ended before it was revoked');
    if (operation === 'keep' && code === 'ENOENT') coverage.count('lease ended before it was kept');
  }

  private grant(client: VirtualClient, name: string, ttlMs: number, recorded: RecordedCall, settled: Settled): void {
    const held: Held = { leaseId: undefined, waiting: [], isPending: true };
    this.held.set(idOf(client.name, name), held);
    client.call({ operation: 'lease_grant', ttlMs }, (settlement, groupUid) => {
      if (settlement.outcome === 'done') {
        held.leaseId = (settlement.result as KvReply<'lease_grant'>).lease_id;
        recorded.leaseId = held.leaseId;
      }
      held.isPending = false;
      settled(settlement, groupUid);
      for (const use of held.waiting.splice(0)) use();
    });
  }
}

function idOf(client: string, name: string): string {
  return `${client} ${name}`;
}
