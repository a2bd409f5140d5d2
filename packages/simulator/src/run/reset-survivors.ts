/**
 * Does what an operator does when the quorum is lost for good: resets the survivors (`reset_peer`, promises 15 and 24), and
 * discards the data that other peers still have of the abandoned history. Entries that only the lost peers had are lost, so from here
 * on the replies to clients are not compared with earlier ones.
 */
import { type Configuration, isIn, type PeerId } from '@conclave/protocol';
import { sameConfiguration } from '../invariants/configurations.js';
import type { RunContext } from './run-context.js';

/** How often a reset is ordered whose outcome is unknown, and how long the operator waits in between. */
const attempts = 5;
const repeatMs = 500;

export class SurvivorReset {
  /** The peers whose resets have not been answered yet. */
  private readonly open = new Set<PeerId>();

  constructor(private readonly context: RunContext) {}

  /** Whether the operator would not start this peer: resets of other peers are not answered yet, and with it they could elect another leader. */
  keepsDown(peerId: PeerId): boolean {
    return this.open.size > 0 && !this.open.has(peerId);
  }

  /**
   * @param alone whether only one peer is reset, even if more could be
   * @param now whether to reset even if the quorum exists, unless `status` shows a leader. Then entries of peers that are down may be
   * discarded. The operator stops the other peers first: with a peer whose reset is late, they could elect a leader of the old history
   */
  run(alone: boolean, now = false): void {
    const { mesh, clients, quorums } = this.context;
    const isNeedless = now ? mesh.leader !== undefined : quorums.isWhole;
    const survivors = isNeedless ? [] : this.survivors(alone);
    if (survivors.length === 0) return;
    if (quorums.isWhole) mesh.coverage.count('reset although the quorum exists');
    mesh.coverage.count(`quorum lost, ${survivors.length === 1 ? 'one survivor' : 'several survivors'}`);
    clients.history.checkedUntilMs ??= mesh.nowMs;
    const others = mesh.peers.filter((peerId) => !survivors.includes(peerId) && mesh.disks.lastIndex(peerId) > 0);
    if (now) for (const peerId of others) mesh.crashPeer(peerId);
    const { invariants } = this.context;
    for (const at of survivors) this.open.add(at);
    const done = new Set<PeerId>();
    for (const at of survivors) {
      this.reset(at, survivors, (isReset) => {
        this.open.delete(at);
        if (isReset) done.add(at);
        // The group may have been deleted and created again meanwhile.
        const isSameGroup = this.context.invariants === invariants;
        if (this.open.size === 0 && done.size > 0 && isSameGroup) this.discardOthers(done);
      });
    }
  }

  /**
   * Resets a peer. If the outcome is unknown (a node that is fenced meanwhile cannot know what its log-store did with the order), the
   * operator looks which history the peer has, and orders the reset again while it is still the old one, also if the peer replies that
   * it is being reset.
   */
  private reset(at: PeerId, peers: PeerId[], onSettled: (isReset: boolean) => void, attemptsLeft = attempts): void {
    const { clients, mesh } = this.context;
    const before = this.historyOf(at);
    clients.operate({ type: 'reset', at, peers }, (settlement) => {
      const isReset = settlement.outcome === 'done' || this.historyOf(at) !== before;
      const isUnclear = settlement.outcome === 'unknown' || attemptsLeft < attempts;
      if (isReset || !isUnclear || attemptsLeft === 1) return onSettled(isReset);
      mesh.after(repeatMs, () => this.reset(at, peers, onSettled, attemptsLeft - 1));
    });
  }

  private historyOf(peerId: PeerId): string | undefined {
    return this.context.invariants.record.stored.ofPeer(peerId)?.meta.group_uid;
  }

  /** Returns the peers to reset: the one with the most up-to-date log and, unless `alone`, those with the same configuration. */
  private survivors(alone: boolean): PeerId[] {
    const { mesh, quorums } = this.context;
    const all = mesh.peers.flatMap((peerId) => {
      const configuration = mesh.disks.configurations(peerId).at(-1)?.configuration;
      // A paused peer does not reply to the operator: it counts as lost.
      const isReplying = mesh.isUp(peerId, 'node') && mesh.actor(peerId, 'node')?.waiting === undefined;
      const isWhole = isReplying && !mesh.disks.isDamaged(peerId);
      if (configuration === undefined || !isWhole || !isIn(configuration, peerId, quorums.storeOf(peerId) as never)) {
        return [];
      }
      const { term, index } = this.lastEntry(peerId);
      return [{ peerId, configuration, term, index }];
    });
    all.sort((a, b) => b.term - a.term || b.index - a.index);
    const [best] = all;
    if (best === undefined) return [];
    const withSameConfiguration = all.filter(({ configuration }) => isSame(configuration, best.configuration));
    return (alone ? [best] : withSameConfiguration).map(({ peerId }) => peerId).sort();
  }

  private lastEntry(peerId: PeerId): { readonly term: number; readonly index: number } {
    const { disks } = this.context.mesh;
    return { term: disks.entries(peerId).at(-1)?.term ?? 0, index: disks.lastIndex(peerId) };
  }

  /** @param done the peers that were reset */
  private discardOthers(done: ReadonlySet<PeerId>): void {
    const { mesh } = this.context;
    mesh.coverage.count('group continues in a new history');
    for (const peerId of mesh.peers) {
      if (done.has(peerId) || mesh.disks.lastIndex(peerId) === 0) continue;
      mesh.coverage.count('data of an abandoned history discarded');
      mesh.crashPeer(peerId);
      mesh.disks.wipe(peerId);
      mesh.startPeer(peerId);
    }
  }
}

function isSame(a: Configuration, b: Configuration): boolean {
  return sameConfiguration(a, b) && a.epoch === b.epoch;
}
