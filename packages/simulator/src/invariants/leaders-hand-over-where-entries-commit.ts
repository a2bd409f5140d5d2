/**
 * A leader that is a member transfers leadership only to a peer that will be able to commit entries, as far as the
 * leader knows: the target accepts entries, and so do enough reachable members for a majority of each set. Otherwise
 * leadership would move to a peer that commits nothing (promise 32).
 */
import type { NodeCore } from '@conclave/node';
import { type Body, type Configuration, isIn, type Member, type StatusReply } from '@conclave/protocol';
import type { Actor } from '../mesh/actor.js';
import { hasQuorum } from './configurations.js';
import { type Invariant, Rule } from './invariant.js';

export class LeadersHandOverWhereEntriesCommit extends Rule implements Invariant {
  readonly name = 'leaders-hand-over-where-entries-commit';
  /** By node: the last order, which is repeated to restarted replicators. */
  private readonly ordered = new WeakMap<object, string>();

  readonly sent = {
    'replicator.transfer': (body: Body<'replicator.transfer'>, from: Actor) => this.onOrder(body, from),
  };

  private onOrder({ term, peer_id }: Body<'replicator.transfer'>, from: Actor): void {
    const order = `${term} ${peer_id}`;
    if (this.ordered.get(from.core) === order) return;
    this.ordered.set(from.core, order);
    const at = this.record.step?.at;
    if (peer_id === '' || at === undefined) return;
    const status = (from.core as unknown as NodeCore).status(at);
    const { configuration } = status;
    // A removed leader has to transfer leadership in any case.
    if (configuration === null || !isIn(configuration, status.peer_id, status.store_id)) return;
    this.check(
      canCommit(peer_id, configuration, status, this.record.electionTimeoutMs(from.peerId)),
      () =>
        `${from.name} transfers leadership to ${peer_id}, which cannot commit anything; read-only: ${readOnly(status)}`,
    );
  }
}

function canCommit(
  peerId: string,
  configuration: Configuration,
  status: StatusReply,
  electionTimeoutMs: number,
): boolean {
  const stores = ({ peer_id, store_id }: Member): boolean => {
    if (peer_id === status.peer_id) return status.read_only === '';
    const progress = status.progress.find((one) => one.peer_id === peer_id);
    if (progress === undefined || progress.store_id !== store_id || progress.read_only || progress.refusal !== '')
      return false;
    return progress.silent_ms >= 0 && progress.silent_ms <= electionTimeoutMs;
  };
  const target = configuration.peers.find(({ peer_id }) => peer_id === peerId);
  return target !== undefined && stores(target) && hasQuorum(configuration, stores);
}

function readOnly({ peer_id, read_only, progress }: StatusReply): string {
  const others = progress.filter((one) => one.read_only).map((one) => one.peer_id);
  return [...(read_only === '' ? [] : [peer_id]), ...others].join(', ');
}
