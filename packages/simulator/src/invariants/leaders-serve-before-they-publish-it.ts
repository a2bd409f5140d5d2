/**
 * A peer receives the group's requests by the time at which it publishes `leader_elected`: clients resend after
 * that event (decision 0085).
 */
import type { ConclaveEvent, PeerId } from '@conclave/protocol';
import { type Invariant, Rule } from './invariant.js';

export class LeadersServeBeforeTheyPublishIt extends Rule implements Invariant {
  readonly name = 'leaders-serve-before-they-publish-it';

  onEvent(peerId: PeerId, term: number, { name }: ConclaveEvent, serves: boolean): void {
    if (name !== 'leader_elected') return;
    this.check(serves, () => `${peerId} publishes that it leads term ${term} before it serves the group`);
  }
}
