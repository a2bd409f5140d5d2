/**
 * Feature levels: what the peers of one group must all be able to read before anybody may use it (DESIGN, section 9).
 *
 * A build speaks a range of levels. A group has one level, kept in its configuration entries: its leader raises it once each
 * member and each new peer speaks it, and never lowers it. What a level adds is used only in groups that have the level.
 *
 * | level | adds |
 * |---|---|
 * | 0 | what the first version did: sessions and leases are numbers, no history in the configuration |
 * | 1 | histories: ids that cannot be guessed, counters above `history.base`, state digests |
 */

import { z } from 'zod';
import { limits } from './limits.js';
import { Count } from './types.js';

/** The levels that a process speaks, from the lowest to the highest. */
export const Levels = z.object({ lowest: Count, highest: Count });
export type Levels = z.infer<typeof Levels>;

/** The version of a build, as its package says it. */
export const BuildVersion = z.string().max(limits.idBytes);

/** The levels that this build speaks. */
export const supportedLevels = { lowest: 0, highest: 1 } as const;

/** A process that does not say which levels it speaks is of the first version. */
export const levelsOfFirstVersion: Levels = { lowest: 0, highest: 0 };

/** The levels that all of these speak: `highest` may be below `lowest`, where there is none. */
export function commonLevels(all: readonly Levels[]): Levels {
  return {
    lowest: Math.max(...all.map(({ lowest }) => lowest)),
    highest: Math.min(...all.map(({ highest }) => highest)),
  };
}

/** What needs a level above 0, and which. */
export const featureLevel = {
  /** Ids drawn at random in place of counters, `history` in the configuration, digests of commands and of the state. */
  histories: 1,
} as const;
