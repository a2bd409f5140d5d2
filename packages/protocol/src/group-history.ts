/**
 * The history that follows another when peers continue without their quorum (`reset_peer`), and the terms of its entries.
 *
 * Peers with the same reset must meet again by ordinary elections, though each does it by itself. So the name of the new history
 * follows from the old one's and from the remaining members; and the terms keep Raft's rule that an index and a term name one
 * entry:
 *
 * - The lower part of an epoch's terms is for the entries that resets write, each in the term of its log's last entry, shifted. Two
 *   logs with the same end get the same entry; others get theirs under another index or term; and the order of which log is more
 *   up to date is kept.
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
 * The name of the history in which these members continue from another.
 * @param epoch of the new history: how many resets lead to it
 */
export function historyAfterReset(from: GroupUid, epoch: number, members: readonly Member[]): GroupUid {
  const names = members.map(({ peer_id, store_id }) => `${peer_id} ${store_id}`).sort();
  const digest = createHash('sha256')
    .update([from, `${epoch}`, ...names].join('\n'))
    .digest('hex');
  return `reset-${epoch}-${digest.slice(0, 40)}` as GroupUid;
}

/** The terms of a new epoch, for a log that ends in `lastTerm`: of the entry that it writes, and of the peer. */
export function termsAfterReset(epoch: number, lastTerm: Term): { readonly entry: Term; readonly peer: Term } {
  invariant(epoch >= 1 && epoch <= limits.epochs, 'a group has a bounded number of epochs');
  return { entry: asTerm(lastTerm + epoch * unit), peer: asTerm(((epoch * (epoch + 3)) / 2) * unit) };
}

/** The wall-clock time at which `historyBase` begins to count: 2020-01-01T00:00Z. */
const historyEpochMs = Date.UTC(2020, 0, 1);
/** Numbers of a history per second: as many as it can issue without reaching those of a later history. */
export const numbersPerSecond = 2 ** 21;

/**
 * How far a history begins above the highest known number of the one before it, if the clock is behind that: higher ones may be
 * unknown.
 */
export const historyGap = 2 ** 36;

/**
 * The number above which a history counts its revisions, tokens and ids: above all that an earlier history of the same name can have
 * issued, even if nothing is left of it, unless that one had more than 2^21 writes a second, or a clock that was ahead. Below 2^53
 * until the year 2156.
 *
 * If the clock is above the known numbers, only the clock counts: a group that is created when nothing is left of an earlier history
 * could not exceed a history that began above the clock.
 *
 * @param wallTimeMs of the leader that begins it, in milliseconds since 1970
 * @param before the highest known base of an earlier history; 0: none
 * @returns a whole number above 0
 */
export function historyBase(wallTimeMs: number, before: number): number {
  const byClock = Math.floor((wallTimeMs - historyEpochMs) / 1000) * numbersPerSecond;
  return byClock > before ? byClock : before + historyGap;
}
