/**
 * Feature levels: what all peers of a group must be able to read before any of them may use it.
 *
 * A build supports a range of levels. A group has one level, stored in its configuration entries: its leader raises it once each member and
 * each new peer supports it, and never lowers it. What a level adds is used only in groups that have the level.
 *
 * | level | adds |
 * |---|---|
 * | 0 | the first version: sessions and leases are numbers, no history in the configuration |
 * | 1 | histories: ids that cannot be guessed, counters above `history.base`, state digests |
 */

import { z } from 'zod';
import { limits } from './limits.js';
import { Count } from './types.js';

/** The levels that a process supports, from the lowest to the highest. */
export const Levels = z.object({ lowest: Count, highest: Count });
export type Levels = z.infer<typeof Levels>;

/** The version of a build, from its package. */
export const BuildVersion = z.string().max(limits.idBytes);

/** The levels that this build supports. */
export const supportedLevels = { lowest: 0, highest: 1 } as const;

/** A process that does not report its levels is of the first version. */
export const levelsOfFirstVersion: Levels = { lowest: 0, highest: 0 };

/** The levels that all of these support: if there is none, `highest` is below `lowest`. */
export function commonLevels(all: readonly Levels[]): Levels {
  let lowest = Number.NEGATIVE_INFINITY;
  let highest = Number.POSITIVE_INFINITY;
  for (const levels of all) {
    lowest = Math.max(lowest, levels.lowest);
    highest = Math.min(highest, levels.highest);
  }
  return { lowest, highest };
}

/** Features that need a level above 0, and which. */
export const featureLevel = {
  /** Random ids instead of counters, `history` in the configuration, digests of commands and of the state. */
  histories: 1,
} as const;
