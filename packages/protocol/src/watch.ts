/**
 * Watching a state machine: what changes is published on `<prefix>.<group>.watch.<watch_id>`, by the leader, until
 * nobody asks for it any more.
 *
 * Core NATS delivers at most once, and leaders change: each message says which revisions it covers. Who has heard all up to
 * revision R takes a message whose `after` is R or below, leaves out what it has already, and is at `revision`
 * then. Where `after` is above R it has missed something: it asks again, from R + 1. So with `error`, which ends a watch,
 * and so where nothing comes for a while, not even an empty message.
 */
import { z } from 'zod';
import { ErrorBody } from './errors.js';
import { limits } from './limits.js';
import { Count, tokenPattern } from './words.js';

/** What a watcher calls its watch: one token of a subject, drawn by itself so that nobody else has the same. */
export const WatchId = z.string().max(limits.nameBytes).regex(tokenPattern, 'letters, digits, _ and - alone');
export type WatchId = z.infer<typeof WatchId>;

export const WatchMessage = z.object({
  /** What was published before is all up to this revision. */
  after: Count,
  /** This message goes up to here; with no changes: nothing that is watched has changed since. */
  revision: Count,
  /** What has changed, oldest first; each as the state machine tells it. */
  changes: z.array(z.unknown().describe('a change')),
  /** The watch has ended, for this reason, behind `after`. */
  error: ErrorBody.optional(),
});
export type WatchMessage = z.infer<typeof WatchMessage>;
