/** Messages for tests, well formed and otherwise without meaning. */
import {
  asGroupId,
  asLogIndex,
  asPeerId,
  asSession,
  asTerm,
  type Body,
  encodeBatch,
  type GroupUid,
  type Message,
  type MessageName,
  type StoreId,
} from '@conclave/protocol';

const groupId = asGroupId('g');
const own = { group_id: groupId, store_id: 's1' as StoreId, session: asSession(4) };

/** To a log-store; `seq` tells one from the other. */
export function tick(seq: number): Message<'log-store.tick'> {
  return { name: 'log-store.tick', body: { ...own, link: 1, seq } };
}

/** On a feed that log-store and replicators hear; `bytes` of payload. */
export function append(seq: number, bytes = 64): Message<'feed.append'> {
  const batch = encodeBatch('commands', asTerm(1), asLogIndex(seq), [new Uint8Array(bytes)]);
  const body: Body<'feed.append'> = {
    ...own,
    link: 1,
    seq,
    group_uid: 'u' as GroupUid,
    leader_id: asPeerId('n1'),
    leader_term: asTerm(1),
    verified_index: asLogIndex(seq),
    truncate_from: asLogIndex(0),
    commit_index: asLogIndex(0),
    batches: [batch],
    prev_term: asTerm(1),
  };
  return { name: 'feed.append', body };
}

/** On a feed that replicators and ballot-box hear. */
export function stored(seq: number): Message<'feed.stored'> {
  return {
    name: 'feed.stored',
    body: {
      ...own,
      group_uid: 'u' as GroupUid,
      peer_id: asPeerId('n2'),
      seq,
      leader_id: asPeerId('n1'),
      leader_term: asTerm(1),
      match_index: asLogIndex(seq),
    },
  };
}

/** The number that tells a test's message from another. */
export function seqOf(message: Message<MessageName>): number {
  const body = message.body as { readonly seq?: number; readonly verified_index?: number };
  return body.seq ?? body.verified_index ?? -1;
}
