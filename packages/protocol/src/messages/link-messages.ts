/** Messages about the links between a node and its own actors: ticks and acknowledgements. */
import { z } from 'zod';
import { Levels } from '../levels.js';
import { ActorKind, Count, Incarnation, LogIndex, Term } from '../types.js';
import { define, frame, own, ReplaceableAfterMs } from './fields.js';

export const linkMessages = {
  'log-store.tick': define('node', 'asks for an acknowledgement of the link', z.object({ ...own, ...frame })),
  'ballot-box.tick': define(
    'node',
    'the same; the ballot-box also repeats `elected` or `committed`',
    z.object({ ...own, ...frame, term: Term, leading: z.boolean() }),
  ),
  'replicator.tick': define(
    'node',
    'the same; from a leader it starts a round of heartbeats, which followers echo with `tick_id`',
    z.object({
      ...own,
      ...frame,
      term: Term,
      leading: z.boolean(),
      tick_id: Count,
      commit_index: LogIndex,
      /** As in `append_entries`, for the messages with this tick. */
      replaceable_after_ms: ReplaceableAfterMs.optional(),
    }),
  ),
  'node.ack': define(
    'log-store, replicator, ballot-box',
    'all messages of this link up to `seq` are accepted (by a log-store: synced); 0: nothing of this link is known, restart it',
    z.object({
      ...own,
      ...frame,
      actor: ActorKind,
      incarnation: Incarnation,
      /** The levels that the actor supports; undefined: it is of the first version. */
      levels: Levels.optional(),
      /**
       * Reply to a tick: the last accepted message of this link, synced or not, and the last one sent according to the tick. Those in between
       * were lost, as messages arrive in order. Undefined: it is no reply to a tick, or of an older version.
       */
      taken_seq: Count.optional(),
      asked_seq: Count.optional(),
    }),
  ),
} as const;
