/**
 * Watches of a state machine: the leader publishes changes on `<prefix>.<group>.watch.<owner>.<id>` until the watch is closed or
 * no longer renewed.
 *
 * Core NATS delivers at most once, and leaders change: each message covers the revisions after `after` up to `revision`. A watcher
 * whose last revision is R uses a message with an `after` of R or below, skips changes up to R, and is at `revision` then. If `after`
 * is above R it has missed a message: it renews the watch from R + 1. It does the same after `error`, which ends a watch, and if no
 * message arrives for a while.
 */
import { z } from 'zod';
import { ErrorBody } from './errors.js';
import { limits } from './limits.js';
import { Count, reservedPeerNames } from './types.js';

const name = `[A-Za-z0-9_-]{1,${limits.nameBytes}}`;
const watchIdPattern = new RegExp(`^(?:(?!(?:${reservedPeerNames.join('|')})\\.)${name}\\.)?${name}$`);

/**
 * The id of a watch, `<owner>.<id>`: a token that names the client, for NATS permissions, and a random one, so that nobody guesses it.
 * One token alone, as older clients have it, names no owner. A reserved name cannot be an owner: a client that may send operations
 * to all peers (`<group>.*.kv.*`) could publish on the subjects of the watches of an owner `kv`.
 */
export const WatchId = z
  .string()
  .regex(
    watchIdPattern,
    `<owner>.<id>, each of 1 to ${limits.nameBytes} letters, digits, _ and -; the owner is no reserved name`,
  );
export type WatchId = z.infer<typeof WatchId>;

export const WatchMessage = z.object({
  /** The messages before cover everything up to this revision. */
  after: Count,
  /** This message covers the revisions up to here; without changes: nothing that is watched has changed since. */
  revision: Count,
  /** The changes, oldest first, as the state machine returns them. */
  changes: z.array(z.unknown().describe('a change')),
  /** This many changes are incomplete: they are too large for JSON, and have no value or are missing. */
  omitted: Count.optional(),
  /** The watch has ended, for this reason, after `after`. */
  error: ErrorBody.optional(),
});
export type WatchMessage = z.infer<typeof WatchMessage>;
