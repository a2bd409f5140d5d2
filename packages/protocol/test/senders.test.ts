import { expect, it } from 'vitest';
import {
  asPeerId,
  isFrom,
  type Message,
  type MessageName,
  messages,
  namedSender,
  peerFeedMessages,
} from '../src/index.js';

const [n1, n2, n3] = [asPeerId('n1'), asPeerId('n2'), asPeerId('n3')];
const names = Object.keys(messages) as MessageName[];

/** What a message says of its sender, and nothing else. */
function saying(name: MessageName, peer: string): Message {
  return { name, body: { leader_id: peer, peer_id: peer, candidate_id: peer } } as unknown as Message;
}

it.each(names)('%s is of the peer that subject and body name', (name) => {
  const isOwn = namedSender(saying(name, n2)) === undefined || Object.hasOwn(peerFeedMessages, name);
  // To n1: by n1 itself, or by n2 in its own name, or by n2 in the name of n3.
  expect(isFrom(n1, saying(name, n1), n1)).toBe(true);
  expect(isFrom(n2, saying(name, n2), n1)).toBe(!isOwn);
  expect(isFrom(n2, saying(name, n3), n1)).toBe(false);
});

it.each(names)('%s names its sender by a field that its schema has, if other peers send it', (name) => {
  const sender = namedSender(saying(name, n2));
  const { shape } = messages[name].schema;
  const isOfOwnActors =
    'session' in shape || ['log-store.hello', 'node.welcome', 'log-store.open', 'node.fenced'].includes(name);
  if (sender === undefined) expect(isOfOwnActors).toBe(true);
  else expect(['leader_id', 'peer_id', 'candidate_id'].some((field) => field in shape)).toBe(true);
});
