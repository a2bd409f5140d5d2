/**
 * What is acknowledged is synced. A follower's log-store acknowledges to the leader that the logs agree up to an
 * index; a log-store acknowledges to its own node that a message has been carried out; a leader acknowledges to a
 * client that its write is committed (promise 16). That a quorum has synced what is committed is the rule of
 * `commits-have-a-quorum`.
 */
import type { Body } from '@conclave/protocol';
import type { Actor } from '../mesh/actor.js';
import type { NodeReply } from '../mesh/run-observer.js';
import { type Invariant, Rule } from './invariant.js';
import { type Entry, entryAt, entryText, hasEntry } from './record/log-tree.js';

/** What a node has sent to its log-store with a message of their link. */
interface Pending {
  readonly seq: number;
  readonly term: number;
  readonly last: Entry | undefined;
}

interface Proposed {
  readonly payload: Uint8Array;
  /** The commit index when it was proposed. */
  readonly behind: number;
}

type Stored = Body<'feed.stored'>;

export class AcknowledgedIsSynced extends Rule implements Invariant {
  readonly name = 'acknowledged-is-synced';
  readonly watched = ['node'] as const;
  readonly inputs = ['propose'] as const;
  private readonly pending = new Map<string, Pending[]>();
  private readonly proposed = new Map<number, Proposed>();
  /** By store: the last acknowledgement. Most are repeats. */
  private readonly known = new Map<string, { readonly match: number; readonly term: number; readonly last: unknown }>();

  readonly sent = {
    'feed.append': (body: Body<'feed.append'>) => this.onAppend(body),
    'log-store.append': (body: Body<'log-store.append'>) => this.onAppend(body),
    'log-store.vote': (body: Body<'log-store.vote'>) => {
      if (this.record.isNewVote) this.recordSent(body, body.seq, body.term);
    },
    'feed.stored': (body: Stored) => this.onStored(body),
    'node.ack': (body: Body<'node.ack'>) => this.onAcknowledged(body),
  };

  private onAppend(body: Body<'log-store.append'>): void {
    if (this.record.appended !== undefined) this.recordSent(body, body.seq, body.leader_term);
  }

  private recordSent(own: { readonly store_id: string; readonly session: number }, seq: number, term: number): void {
    const key = `${own.store_id} ${own.session}`;
    const pending = this.pending.get(key) ?? [];
    this.pending.set(key, pending);
    pending.push({ seq, term, last: this.record.accepted.of(own)?.last });
  }

  private onAcknowledged(body: Body<'node.ack'>): void {
    if (body.actor !== 'log-store') return;
    const pending = this.pending.get(`${body.store_id} ${body.session}`);
    let latest: Pending | undefined;
    while (pending?.[0] !== undefined && pending[0].seq <= body.seq) latest = pending.shift();
    const store = this.record.stored.of(body.store_id);
    if (latest === undefined || store === undefined) return;
    const { term, last, seq } = latest;
    this.check(
      store.meta.term >= term,
      () => `${store.peerId} acknowledges message ${seq} of term ${term}, and term ${store.meta.term} is synced`,
    );
    // What the node has truncated since may be deleted already.
    const isWanted = last !== undefined && hasEntry(this.record.accepted.of(body)?.last, last);
    this.check(
      !isWanted || hasEntry(store.last, last),
      () =>
        `${store.peerId} acknowledges message ${seq} with ${entryText(last)}, and ${entryText(store.last)} is synced`,
    );
  }

  private onStored(body: Stored): void {
    const { store_id, peer_id, leader_id, leader_term, match_index } = body;
    const store = this.record.stored.of(store_id);
    this.check(store?.peerId === peer_id, () => `${peer_id} acknowledges for ${store_id}, which is not its store`);
    const known = this.known.get(store_id);
    if (known?.match === match_index && known.term === leader_term && known.last === store.last) return;
    this.known.set(store_id, { match: match_index, term: leader_term, last: store.last });
    this.check(
      store.meta.term >= leader_term,
      () => `${peer_id} acknowledges to the leader of term ${leader_term}, and term ${store.meta.term} is synced`,
    );
    const synced = entryAt(store.last, match_index);
    const leaders = entryAt(this.logOfLeader(body), match_index);
    this.check(
      match_index === 0 || (synced !== undefined && synced === leaders),
      () =>
        `${peer_id} acknowledges entry ${match_index} to ${leader_id}, leader of term ${leader_term}, which has ${entryText(leaders)}; ${entryText(synced)} is synced`,
    );
  }

  /** The founder of a group acknowledges its first entry to itself before it leads. */
  private logOfLeader(body: Stored): Entry | undefined {
    const leader = this.record.leaders.get(body.leader_term);
    if (leader?.peerId === body.leader_id) return leader.last;
    return body.leader_id === body.peer_id && leader === undefined ? this.record.accepted.of(body)?.last : undefined;
  }

  // ---- to clients --------------------------------------------------------------------------------

  onStepping(_actor: Actor, input: unknown): void {
    const { type, requestId, payload } = input as { type: string; requestId: number; payload: Uint8Array };
    if (type !== 'propose') return;
    this.proposed.set(requestId, { payload, behind: this.record.commits.last?.index ?? 0 });
  }

  onReplied(requestId: number, answer: NodeReply): void {
    const proposed = this.proposed.get(requestId);
    if (proposed === undefined) return;
    this.proposed.delete(requestId);
    if (!('result' in answer)) return;
    const { commits } = this.record;
    // A reset may have deleted some entries.
    let index = Math.min(proposed.behind, commits.last?.index ?? 0) + 1;
    let entry = commits.at(index);
    while (entry !== undefined && Buffer.compare(entry.payload, proposed.payload) !== 0) {
      index += 1;
      entry = commits.at(index);
    }
    this.check(entry !== undefined, () => `write ${requestId} is acknowledged, and not committed`);
  }
}
