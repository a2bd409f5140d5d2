/**
 * A peer that a leader calls safe to restart is not needed by the quorum that stores entries now: without it, more
 * than half of each set of the configuration has acknowledged to this leader within the last moments (promise 27).
 */
import type { Instant } from '@conclave/actor/core';
import type { NodeCore, RestartAdvice } from '@conclave/node';
import { type Body, defaultTimes, type Member } from '@conclave/protocol';
import type { Actor } from '../mesh/actor.js';
import { hasQuorum } from './configurations.js';
import { type Invariant, Rule } from './invariant.js';
import { summaryOf } from './record/nodes.js';

/** Clocks of leaders run at least half as fast as the run's. */
const withinMs = defaultTimes.electionTimeoutMs;

export class RestartsSpareTheQuorum extends Rule implements Invariant {
  readonly name = 'restarts-spare-the-quorum';
  readonly watched = ['node', 'replicator'] as const;
  readonly inputs = ['feed.stored', 'timer'] as const;
  /** By the leader's peer and store: the last acknowledgement that its replicators received, in the run's time. */
  private readonly acknowledged = new Map<string, Map<string, number>>();

  readonly sent = {
    // The acknowledgements of the leader’s own log-store arrive over its link.
    'node.ack': ({ store_id }: Body<'node.ack'>, from: Actor) => {
      if (from.kind === 'log-store') this.note(from.peerId, store_id, this.record.step?.at.wallTimeMs ?? 0);
    },
  };

  onStepping(actor: Actor, input: unknown, at: Instant): void {
    const { type, timer, message } = input as {
      type: string;
      timer?: string;
      message?: { name: string; body: unknown };
    };
    if (actor.kind === 'replicator' && message?.name === 'feed.stored') {
      this.note(actor.peerId, (message.body as Body<'feed.stored'>).store_id, at.wallTimeMs);
    }
    if (actor.kind !== 'node' || type !== 'timer' || timer !== 'tick' || summaryOf(actor).role !== 'leader') return;
    const advice = (actor.core as unknown as NodeCore).restartAdvice(at);
    if (advice !== undefined) this.judge(advice, actor, at.wallTimeMs);
  }

  private note(peerId: string, storeId: string, atMs: number): void {
    const stores = this.acknowledged.get(peerId) ?? new Map<string, number>();
    this.acknowledged.set(peerId, stores.set(storeId, atMs));
  }

  private judge({ configuration, restart }: RestartAdvice, { name, peerId }: Actor, nowMs: number): void {
    if (configuration === null) return;
    const ageMs = ({ store_id }: Member): number => nowMs - (this.acknowledged.get(peerId)?.get(store_id) ?? 0);
    for (const { peer_id, may } of restart) {
      this.check(
        !may || hasQuorum(configuration, (member) => member.peer_id !== peer_id && ageMs(member) <= withinMs),
        () => {
          const ages = [...configuration.peers, ...configuration.old_peers].map(
            (member) => `${member.peer_id} ${Math.round(ageMs(member))} ms`,
          );
          return `${name} calls ${peer_id} safe to restart; last acknowledgements of stored entries: ${ages.join(', ')}`;
        },
      );
    }
  }
}
