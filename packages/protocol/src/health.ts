/** The health of an actor, as it replies on `<prefix>.<group>.<peer>.<actor>.health`: request/reply, JSON or msgpack. */
import { z } from 'zod';
import { ActorKind, Count, GroupId, Incarnation, PeerId } from './types.js';

/** The last token of that subject; no message between actors has this name. */
export const healthToken = 'health';

export const HealthReply = z.object({
  group_id: GroupId,
  peer_id: PeerId,
  actor: ActorKind,
  /** The run of the process that replies. */
  incarnation: Incarnation,
  healthy: z.boolean(),
  /** Why it is not healthy; empty: it is. */
  reason: z.string(),
  /** What the actor and its process dropped, by reason: malformed, stale, too much. */
  dropped: z.record(z.string(), Count),
});
export type HealthReply = z.infer<typeof HealthReply>;
