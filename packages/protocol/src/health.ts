/** How an actor is, as it answers on `<prefix>.<group>.<peer>.<actor>.health`: request/reply, JSON or msgpack. */
import { z } from 'zod';
import { ActorKind, Count, GroupId, Incarnation, PeerId } from './types.js';

/** The word of that subject; no message between actors has it. */
export const healthToken = 'health';

export const HealthReply = z.object({
  group_id: GroupId,
  peer_id: PeerId,
  actor: ActorKind,
  /** Which run of its process answers. */
  incarnation: Incarnation,
  healthy: z.boolean(),
  /** Why it is not, or empty. */
  reason: z.string(),
  /** What the actor and its process did not take, by reason: what was malformed, stale, too much. */
  dropped: z.record(z.string(), Count),
});
export type HealthReply = z.infer<typeof HealthReply>;
