/** A ballot-box with its node's side of the link, for short scripts. */
import type { Instant, Send } from '@conclave/actor/core';
import {
  asGroupId,
  asLogIndex,
  asPeerId,
  asSession,
  asTerm,
  type BallotBoxMessage,
  type Body,
  type Configuration,
  type GroupUid,
  type LogIndex,
  type Member,
  type Message,
  type StoreId,
} from '@conclave/protocol';
import { BallotBoxCore } from '../src/core/index.js';

export const groupId = asGroupId('main');
export const uid = 'uid' as GroupUid;
export const at: Instant = { nowMs: 0, wallTimeMs: 0, random: 0 };
export const self = asPeerId('n1');
export const own = { group_id: groupId, store_id: 's1' as StoreId, session: asSession(1) };

/** `n1` with store `s1`, and so on; `n2:s9` for another store. */
export function member(name: string): Member {
  const [peer, store] = name.split(':');
  return { peer_id: asPeerId(peer ?? ''), store_id: (store ?? `s${peer?.slice(1)}`) as StoreId };
}

/** `configuration('n1 n2 n3')`, or with the old peers behind a bar: `'n1 n4 n5 | n1 n2 n3'`. */
export function configuration(text: string): Configuration {
  const [peers = '', old = ''] = text.split('|');
  const members = (names: string) => names.trim().split(/\s+/).filter(Boolean).map(member);
  return { peers: members(peers), old_peers: members(old) };
}

export class OpenBox {
  core = new BallotBoxCore({ groupId, peerId: self, incarnation: 'b1' });
  private link = 1;
  private seq = 0;
  private own = own;

  step(message: BallotBoxMessage): readonly unknown[] {
    return this.core.step({ type: 'message', message });
  }

  idle(): readonly unknown[] {
    return this.core.step({ type: 'idle' });
  }

  /** What it sends, by name and what matters of the body. */
  receive(message: BallotBoxMessage): string[] {
    return this.core.step({ type: 'message', message }).map((effect) => format(effect as Send));
  }

  /** The node restarts its link. */
  beginLink(session = 1): void {
    this.link = session === this.own.session ? this.link + 1 : 1;
    this.own = { ...own, session: asSession(session) };
    this.seq = 0;
  }

  restart(): void {
    this.core = new BallotBoxCore({ groupId, peerId: self, incarnation: 'b2' });
  }

  /** A message is lost on its way. */
  lose(): void {
    this.seq += 1;
  }

  frame() {
    this.seq += 1;
    return { link: this.link, seq: this.seq };
  }

  elect(over: Partial<Body<'ballot-box.elect'>> & { configuration: Configuration }): BallotBoxMessage {
    const body = { peer_id: self, group_uid: uid, term: asTerm(5), kind: 'vote' as const, election_id: 1, ...over };
    return { name: 'ballot-box.elect', body: { ...this.own, ...this.frame(), ...body } };
  }

  lead(
    first: number,
    last: number,
    configurations: [number, string][],
    term = 5,
    electionTimeoutMs?: number,
  ): BallotBoxMessage {
    const body = {
      ...(electionTimeoutMs === undefined ? {} : { election_timeout_ms: electionTimeoutMs }),
      ...this.own,
      ...this.frame(),
      peer_id: self,
      group_uid: uid,
      term: asTerm(term),
      first_index: asLogIndex(first),
      last_index: asLogIndex(last),
      configurations: configurations.map(([index, text]) => ({
        index: asLogIndex(index),
        configuration: configuration(text),
      })),
    };
    return { name: 'ballot-box.lead', body };
  }

  stop(): BallotBoxMessage {
    return { name: 'ballot-box.stop', body: { ...this.own, ...this.frame(), term: asTerm(5) } };
  }

  register(runs: Run[], over: Partial<Body<'ballot-box.register'>> = {}): BallotBoxMessage {
    return { name: 'ballot-box.register', body: { ...this.own, ...this.frame(), term: asTerm(5), runs, ...over } };
  }

  tick(leading = true): BallotBoxMessage {
    const frame = { link: this.link, seq: this.seq };
    return { name: 'ballot-box.tick', body: { ...this.own, ...frame, term: asTerm(5), leading } };
  }
}

export type Run = Body<'ballot-box.register'>['runs'][number];

/** Entries `first..last` of commands. */
export function commands(first: number, last = first): Run {
  return { first_index: asLogIndex(first), last_index: asLogIndex(last), configuration: null };
}

/** An entry that holds a configuration. */
export function configurationEntry(index: number, text: string): Run {
  return { first_index: asLogIndex(index), last_index: asLogIndex(index), configuration: configuration(text) };
}

export function stored(name: string, matchIndex: number, over: Partial<Body<'feed.stored'>> = {}): BallotBoxMessage {
  const body = {
    group_id: groupId,
    group_uid: uid,
    ...member(name),
    session: asSession(7),
    seq: 1,
    leader_id: self,
    leader_term: asTerm(5),
    match_index: asLogIndex(matchIndex),
    ...over,
  };
  return { name: 'feed.stored', body };
}

export function echo(name: string, tickId: number, over: Partial<Body<'feed.echo'>> = {}): BallotBoxMessage {
  const body = {
    group_id: groupId,
    group_uid: uid,
    ...member(name),
    leader_id: self,
    leader_term: asTerm(5),
    tick_id: tickId,
    session_tick_id: 0,
    hears_feed: false,
    read_only: false,
    ...over,
  };
  return { name: 'feed.echo', body };
}

export function vote(name: string, over: Partial<Body<'ballot-box.vote_response'>> = {}): BallotBoxMessage {
  const body = {
    group_id: groupId,
    group_uid: uid,
    ...member(name),
    term: asTerm(5),
    kind: 'vote' as const,
    election_id: 1,
    candidate_store_id: member(self).store_id,
    granted: true,
    ...over,
  };
  return { name: 'ballot-box.vote_response', body };
}

export function committed(index: number): Message {
  return { name: 'feed.committed', body: { ...own, term: asTerm(5), index: asLogIndex(index) as LogIndex } };
}

function format({ message }: Send): string {
  switch (message.name) {
    case 'node.ack':
      return `ack ${message.body.link}:${message.body.seq}`;
    case 'node.elected':
      return `elected ${message.body.kind} ${message.body.term} ${message.body.election_id}`;
    case 'feed.committed':
      return `committed ${message.body.index}`;
    case 'node.confirmed':
      return message.body.session_tick_id === 0
        ? `confirmed ${message.body.tick_id}`
        : `confirmed ${message.body.tick_id}, sessions ${message.body.session_tick_id}`;
    case 'node.ballots': {
      const { commit_index, registered_index, lacking } = message.body;
      return `ballots ${commit_index}/${registered_index} lacking ${lacking.peers.join(',')}|${lacking.old_peers.join(',')}`;
    }
    default:
      return message.name;
  }
}
