/**
 * Watching a state machine: what changes is published on `<prefix>.<group>.watch.<owner>.<id>`, by the leader, until
 * it is closed or nobody asks for it any more.
 *
 * Core NATS delivers at most once, and leaders change: each message says which revisions it covers. Who has heard all up to
 * revision R takes a message whose `after` is R or below, leaves out what it has already, and is at `revision`
 * then. Where `after` is above R it has missed something: it asks again, from R + 1. So with `error`, which ends a watch,
 * and so where nothing comes for a while, not even an empty message.
 */
import { z } from 'zod';
import { ErrorBody } from './errors.js';
import { limits } from './limits.js';
import { Count } from './types.js';

const watchIdPattern = new RegExp(`^(?:[A-Za-z0-9_-]{1,${limits.nameBytes}}\\.)?[A-Za-z0-9_-]{1,${limits.nameBytes}}$`);

/**
 * What a watcher calls its watch, `<owner>.<id>`: a token that names the client, for which NATS permissions can be given, and
 * one that the client draws at random, so that nobody guesses it. One token alone, as older clients have it, names no owner.
 */
export const WatchId = z
  .string()
  .regex(watchIdPattern, `<owner>.<id>, each of 1 to ${limits.nameBytes} letters, digits, _ and -`);
export type WatchId = z.infer<typeof WatchId>;

export const WatchMessage = z.object({
  /** What was published before is all up to this revision. */
  after: Count,
  /** This message goes up to here; with no changes: nothing that is watched has changed since. */
  revision: Count,
  /** What has changed, oldest first; each as the state machine tells it. */
  changes: z.array(z.unknown().describe('a change')),
  /** So many changes are not whole: they are too large for JSON, and come without their values or not at all. */
  omitted: Count.optional(),
  /** The watch has ended, for this reason, behind `after`. */
  error: ErrorBody.optional(),
});
export type WatchMessage = z.infer<typeof WatchMessage>;
