/**
 * Which history follows another when peers go on without their quorum (`reset_peer`), and in which terms it is written.
 *
 * Peers that are reset alike must meet again by ordinary elections, though each does it by itself. So the name of the new
 * history follows from the old one's and from who goes on; and the terms keep Raft's rule that an index and a term name
 * one entry:
 *
 * - Of an epoch's terms the lower part is for the entries that resets write, each in the term of its log's last entry,
 *   shifted. Two logs that end alike get the same entry; others get theirs under another index or term; and whose log is
 *   more up to date stays so.
 * - The upper part is for elections. It begins above all terms that a reset of any log of the old history can write.
 *
 * With terms counted in units of 10^9, the terms of epoch `e` begin at `e(e+1)/2` units, its elections at `e(e+3)/2`:
 *
 *     epoch 0   elections from 0
 *     epoch 1   resets [1, 2)   elections from 2
 *     epoch 2   resets [3, 5)   elections from 5
 */
import { createHash } from 'node:crypto';
import type { Member } from './configuration.js';
import { invariant } from './errors.js';
import { limits } from './limits.js';
import { asTerm, type GroupUid, type Term } from './types.js';

const unit = 1_000_000_000;

/**
 * The name of the history in which these members go on from another.
 * @param epoch of the new history: how many resets lead to it
 */
export function historyAfterReset(from: GroupUid, epoch: number, members: readonly Member[]): GroupUid {
  const names = members.map(({ peer_id, store_id }) => `${peer_id} ${store_id}`).sort();
  const drawn = createHash('sha256')
    .update([from, `${epoch}`, ...names].join('\n'))
    .digest('hex');
  return `reset-${epoch}-${drawn.slice(0, 40)}` as GroupUid;
}

/** The terms with which an epoch begins at a log that ends in `lastTerm`: of the entry that it writes, and of the peer. */
export function termsAfterReset(epoch: number, lastTerm: Term): { readonly entry: Term; readonly peer: Term } {
  invariant(epoch >= 1 && epoch <= limits.epochs, 'a group has a bounded number of epochs');
  return { entry: asTerm(lastTerm + epoch * unit), peer: asTerm(((epoch * (epoch + 3)) / 2) * unit) };
}

/** Of the wall time: 2020-01-01T00:00Z, where `historyBase` begins to count. */
const historyEpochMs = Date.UTC(2020, 0, 1);
/** Numbers that a history has for each second: as many as it can give out without reaching into the time of a later one. */
export const numbersPerSecond = 2 ** 21;

/**
 * How far a history begins above the highest number that is known of the one before it, where the clock is behind that: what is not
 * known of may be higher.
 */
export const historyGap = 2 ** 36;

/**
 * The number above which a history counts its revisions, tokens and ids: above all that an earlier history of the same name
 * can have given out, even where nothing is left of it, unless that one had more than 2^21 writes a second, or a clock that
 * was ahead. Below 2^53 until the year 2156.
 *
 * Where the clock is above what is known, it alone counts: a history that began above the clock could not be told from later ones
 * by a group that is founded when nothing of it is left.
 *
 * @param wallTimeMs of the leader that begins it, in milliseconds since 1970
 * @param before the highest base that is known of an earlier history; 0: none
 * @returns a whole number above 0
 */
export function historyBase(wallTimeMs: number, before: number): number {
  const byClock = Math.floor((wallTimeMs - historyEpochMs) / 1000) * numbersPerSecond;
  return byClock > before ? byClock : before + historyGap;
}
