/** A member that knows that its state differs from the majority's is not elected (DESIGN, section 9). */
import type { NodeCore } from '@conclave/node';
import type { ConclaveEvent, PeerId } from '@conclave/protocol';
import { type Invariant, Rule } from './invariant.js';

export class DivergedMembersDoNotLead extends Rule implements Invariant {
  readonly name = 'diverged-members-do-not-lead';

  onEvent(peerId: PeerId, _term: number, { name }: ConclaveEvent): void {
    if (name !== 'leader_elected') return;
    const core = this.record.step?.actor.core as unknown as NodeCore | undefined;
    const reason = core?.health().reason ?? '';
    this.check(!reason.startsWith('diverged: the state differs'), () => `${peerId} leads, and is ${reason}`);
  }
}
