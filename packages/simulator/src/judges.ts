/**
 * What must hold in every run, whatever fails: each judge watches the mesh and throws when its rule is broken.
 *
 * Rules:
 * 1. A term has one leader over the whole run (Raft thesis, figure 3.2: election safety).
 * 2. What is applied at an index is the same everywhere and for ever, in order and once (state machine safety).
 * 3. On a store, term and session never fall, and a vote is never changed within its term.
 * 4. Nothing is spoken of a term or vote that is not synced.
 * 5. Nobody stands who is in no configuration of its log.
 * 6. What is committed stays as it is on every disk that has it (log matching, leader completeness).
 * 7. Each committed configuration follows from the one before by the stages of a change.
 */
import type { LogStoreCore } from '@conclave/log-store';
import { type Configuration, decodeConfiguration, isIn, type LogIndex, type PeerId } from '@conclave/protocol';
import type { Actor, CoreMesh, Watcher } from './mesh/core-mesh.js';
import type { DiskEntry } from './mesh/virtual-disks.js';

type Sent = Parameters<NonNullable<Watcher['onSent']>>;
type Happened = Parameters<NonNullable<Watcher['onEvent']>>;

interface Durable {
  readonly term: number;
  readonly votedFor: string;
  readonly session: number;
}

export class Judges implements Watcher {
  private readonly leaders = new Map<number, Actor | PeerId>();
  private readonly applied = new Map<number, string>();
  private readonly appliedBy = new Map<object, number>();
  private readonly durable = new Map<string, Durable>();
  private readonly committed = new Map<number, { readonly print: string; readonly entry: DiskEntry }>();

  constructor(private readonly mesh: CoreMesh) {}

  onEvent(...[peerId, term, event]: Happened): void {
    if (event.name !== 'leader_elected') return;
    const other = this.leaders.get(term);
    if (other !== undefined) throw new Error(`term ${term} has two leaders, ${other} and ${peerId}`);
    this.leaders.set(term, peerId);
  }

  onApplied(life: object, index: LogIndex, payload: Uint8Array): void {
    const print = Buffer.from(payload).toString('base64');
    const known = this.applied.get(index);
    if (known !== undefined && known !== print) throw new Error(`entry ${index} was applied as something else before`);
    this.applied.set(index, print);
    const before = this.appliedBy.get(life) ?? 0;
    for (let skipped = before + 1; skipped < index; skipped++) {
      // A configuration is not applied; nobody else may have applied anything there.
      if (this.applied.has(skipped)) throw new Error(`entry ${skipped} was left out before entry ${index}`);
    }
    if (index <= before) throw new Error(`entry ${index} is applied after entry ${before}`);
    this.appliedBy.set(life, index);
  }

  onSynced(peerId: PeerId, store: LogStoreCore): void {
    const { storeId, term, votedFor, session } = store.durableState;
    if (storeId === '') return;
    const before = this.durable.get(storeId);
    if (before !== undefined) {
      if (term < before.term) throw new Error(`the term of ${peerId} fell from ${before.term} to ${term}`);
      if (session < before.session) throw new Error(`the session of ${peerId} fell`);
      const changed = term === before.term && before.votedFor !== '' && votedFor !== before.votedFor;
      if (changed) throw new Error(`${peerId} changed its vote of term ${term}`);
    }
    this.durable.set(storeId, { term, votedFor, session });
  }

  onSent(...[from, to, message]: Sent): void {
    switch (message.name) {
      case 'ballot-box.vote_response': {
        const { kind, granted, term, store_id } = message.body;
        if (kind === 'vote' && granted) this.checkVote(store_id, term, to);
        return;
      }
      case 'node.request_vote': {
        const { kind, term, candidate_store_id, candidate_id } = message.body;
        if (kind === 'vote') this.checkVote(candidate_store_id, term, candidate_id);
        this.checkMayStand(from);
        return;
      }
      case 'feed.echo':
        return this.checkTerm(message.body.store_id, message.body.leader_term);
      case 'node.higher_term':
        return this.checkTerm(message.body.store_id, message.body.term);
      case 'replicator.rejected':
        // Who has another store only repeats the term that it was asked in.
        if (message.body.reason !== 'store') this.checkTerm(message.body.store_id, message.body.term);
        return;
      default:
        return;
    }
  }

  private checkTerm(storeId: string, term: number): void {
    const synced = this.durable.get(storeId)?.term ?? 0;
    if (term > synced) throw new Error(`term ${term} is spoken by ${storeId}, where term ${synced} is synced`);
  }

  private checkVote(storeId: string, term: number, candidate: PeerId): void {
    this.checkTerm(storeId, term);
    const durable = this.durable.get(storeId);
    // A later term may be synced by the time the vote is spoken: it was synced before that.
    if (durable?.term === term && durable.votedFor !== candidate) {
      throw new Error(`a vote of term ${term} for ${candidate} is spoken, and '${durable.votedFor}' is synced`);
    }
  }

  private checkMayStand({ peerId, core }: Actor): void {
    const node = core as unknown as ReturnType<CoreMesh['node']>;
    const { configuration, store_id } = node.status({ nowMs: this.mesh.nowMs, wallTimeMs: 0, random: 0 });
    if (configuration === null) throw new Error(`${peerId} stands without a configuration`);
    const ever = this.mesh.disks
      .entries(peerId)
      .filter(({ kind }) => kind === 'configuration')
      .some(({ payload }) => isIn(decodeConfiguration(payload), peerId, store_id));
    if (!ever && !isIn(configuration, peerId, store_id)) throw new Error(`${peerId} stands, and was never a member`);
  }

  /**
   * Compares what is known to be committed on each disk with what was before. Now and then, as it reads it all. What
   * the disk itself says counts: a node knows more, and what it has replaced may not be synced.
   */
  checkCommitted(peers: readonly PeerId[]): void {
    for (const peerId of peers) {
      const upTo = this.mesh.logStore(peerId).durableState.commitIndex;
      for (const entry of this.mesh.disks.entries(peerId)) {
        if (entry.index > upTo) break;
        const print = `${entry.term} ${entry.kind} ${Buffer.from(entry.payload).toString('base64')}`;
        const known = this.committed.get(entry.index);
        if (known !== undefined && known.print !== print) throw new Error(`entry ${entry.index} differs at ${peerId}`);
        if (known === undefined) this.committed.set(entry.index, { print, entry });
      }
    }
  }

  /** At the end: these peers have all that was ever committed or applied, and the configurations follow one another. */
  checkAtTheEnd(members: readonly PeerId[]): void {
    this.checkCommitted(members);
    const last = Math.max(0, ...this.committed.keys(), ...this.applied.keys());
    for (const peerId of members) {
      const entries = this.mesh.disks.entries(peerId);
      for (let index = 1; index <= last; index++) {
        const entry = entries[index - 1];
        const known = this.committed.get(index)?.entry ?? entry;
        const same =
          entry?.index === index && known?.term === entry.term && Buffer.compare(known.payload, entry.payload) === 0;
        if (!same) throw new Error(`entry ${index} was committed and is not at ${peerId}`);
        const applied = this.applied.get(index);
        const isCommand = entry.kind === 'commands';
        if (isCommand !== (applied !== undefined)) throw new Error(`entry ${index} was applied though no command`);
      }
    }
    this.checkConfigurations(last);
  }

  private checkConfigurations(last: number): void {
    let before: Configuration | undefined;
    for (let index = 1; index <= last; index++) {
      const entry = this.committed.get(index)?.entry;
      if (entry?.kind !== 'configuration') continue;
      const after = decodeConfiguration(entry.payload);
      if (before !== undefined && !mayFollow(before, after)) {
        throw new Error(`configuration ${index}, ${text(after)}, does not follow from ${text(before)}`);
      }
      before = after;
    }
  }
}

const keys = (members: Configuration['peers']): string[] => members.map((m) => `${m.peer_id}:${m.store_id}`).sort();
const same = (a: Configuration['peers'], b: Configuration['peers']): boolean => keys(a).join() === keys(b).join();

function text({ peers, old_peers }: Configuration): string {
  return `{${keys(peers)}${old_peers.length > 0 ? ` | ${keys(old_peers)}` : ''}}`;
}

/** Whether a committed configuration may come next. A joint one may be left out: it commits with what follows it. */
function mayFollow(before: Configuration, after: Configuration): boolean {
  if (same(before.peers, after.peers) && same(before.old_peers, after.old_peers)) return true;
  if (before.old_peers.length > 0) {
    return after.old_peers.length === 0 && (same(after.peers, before.peers) || same(after.peers, before.old_peers));
  }
  if (after.old_peers.length > 0) return same(after.old_peers, before.peers);
  const [was, is] = [new Set(keys(before.peers)), new Set(keys(after.peers))];
  const changed = [...was].filter((k) => !is.has(k)).length + [...is].filter((k) => !was.has(k)).length;
  return changed === 1;
}
