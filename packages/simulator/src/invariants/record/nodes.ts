/** What is asked of nodes' cores themselves: what they believe. */
import type { NodeCore, NodeSummary } from '@conclave/node';
import type { Actor } from '../../mesh/actor.js';

export function summaryOf(actor: Actor): NodeSummary {
  return (actor.core as unknown as NodeCore).summary();
}
