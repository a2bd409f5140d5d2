/** Whether a leader's replicators reach enough members of a set. It keeps nothing. */
import { type Member, majority } from '@conclave/protocol';
import type { NodeContext } from './context.js';
import type { Leadership } from './leadership.js';
import type { NodeState } from './state.js';

/**
 * Whether a majority of these is in reach, each with its store. Replicators that have just begun have heard of nobody yet:
 * only after a while does that mean that nobody is there.
 * @param sinceMs when they began
 * @param withinMs how long ago a member may have been heard last
 */
export function reachOf(
  members: readonly Member[],
  sinceMs: number,
  { context, state, leadership }: { context: NodeContext; state: NodeState; leadership: Leadership },
  withinMs: number = 2 * context.options.electionTimeoutMs,
): 'enough' | 'not_known' | 'too_few' {
  const isEarly = context.nowMs - sinceMs < 2 * context.options.electionTimeoutMs;
  let reachable = 0;
  let notKnown = 0;
  for (const { peer_id, store_id } of members) {
    if (peer_id === state.peerId) {
      if (store_id === state.storeId) reachable += 1;
      continue;
    }
    const progress = leadership.progress(peer_id);
    if (progress === undefined || (progress.silent_ms < 0 && progress.refusal === '')) notKnown += 1;
    else if (
      progress.store_id === store_id &&
      progress.silent_ms < withinMs &&
      progress.refusal === '' &&
      !progress.read_only
    )
      reachable += 1;
  }
  if (reachable >= majority(members.length)) return 'enough';
  return isEarly && reachable + notKnown >= majority(members.length) ? 'not_known' : 'too_few';
}
