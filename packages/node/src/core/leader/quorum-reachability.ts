/** Whether a leader's replicators reach a majority of a set of members. */
import { type Member, majority } from '@conclave/protocol';
import type { NodeState } from '../state/index.js';
import type { StepContext } from '../step-context.js';
import type { LeaderState } from './leader-state.js';

/**
 * Returns whether a majority of these members is reachable, each with its store, and not read-only; this leader always counts as
 * both. Replicators that have just started have reached no peer yet, so in the first two election timeouts the result can be
 * `not_known`.
 * @param sinceMs when the replicators started
 * @param withinMs a member is reachable if it responded within this time
 */
export function reachOf(
  members: readonly Member[],
  sinceMs: number,
  { context, state, leadership }: { context: StepContext; state: NodeState; leadership: LeaderState },
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
