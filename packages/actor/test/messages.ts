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

/** To a log-store of the same peer; `seq` distinguishes them. */
export function tick(seq: number): Message<'log-store.tick'> {
  return { name: 'log-store.tick', body: { ...own, link: 1, seq } };
}

/** On a feed that log-store and replicators receive; `bytes` of payload. */
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

/** From n1 to another peer's node; `bytes` of payload, none: without entries. */
export function entries(seq: number, bytes = 0): Message<'node.append_entries'> {
  const batch = () => encodeBatch('commands', asTerm(1), asLogIndex(seq), [new Uint8Array(bytes)]);
  return {
    name: 'node.append_entries',
    body: {
      group_id: groupId,
      group_uid: 'u' as GroupUid,
      leader_id: asPeerId('n1'),
      term: asTerm(1),
      target_store_id: 's2' as StoreId,
      request_id: seq,
      prev_index: asLogIndex(0),
      prev_term: asTerm(0),
      leader_commit: asLogIndex(0),
      tick_id: 1,
      hear_feed: false,
      batches: bytes === 0 ? [] : [batch()],
    },
  };
}

/** From n1, on a feed that replicators and ballot-box receive. */
export function stored(seq: number): Message<'feed.stored'> {
  return {
    name: 'feed.stored',
    body: {
      ...own,
      group_uid: 'u' as GroupUid,
      peer_id: asPeerId('n1'),
      seq,
      leader_id: asPeerId('n1'),
      leader_term: asTerm(1),
      match_index: asLogIndex(seq),
    },
  };
}

/** The number that distinguishes a test's messages. */
export function seqOf(message: Message<MessageName>): number {
  const body = message.body as { readonly seq?: number; readonly request_id?: number };
  return body.seq ?? body.request_id ?? -1;
}
