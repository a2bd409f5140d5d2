/** A node truncates nothing at or below its commit index (Raft thesis, section 3.5). */
import type { Body } from '@conclave/protocol';
import type { Actor } from '../mesh/actor.js';
import { type Invariant, Rule } from './invariant.js';

export class NoTruncationBelowCommit extends Rule implements Invariant {
  readonly name = 'no-truncation-below-commit';

  readonly sent = {
    'log-store.append': ({ truncate_from, commit_index }: Body<'log-store.append'>, from: Actor) =>
      this.check(
        truncate_from === 0 || truncate_from > commit_index,
        () => `${from.peerId} deletes from entry ${truncate_from} on, and knows entry ${commit_index} to be committed`,
      ),
  };
}
