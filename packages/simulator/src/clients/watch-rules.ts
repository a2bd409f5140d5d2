/**
 * What each leader does with watches, by its own answers: a watch that it has closed is silent, nobody takes over one that it
 * has, and a client has a bounded number of them. (What watchers are told is judged at the end of a run.)
 */
import { limits } from '@conclave/protocol';
import { InvariantViolation } from '../invariants/invariant-violation.js';
import { summaryOf } from '../invariants/record/nodes.js';
import type { Actor } from '../mesh/actor.js';
import type { CoreMesh } from '../mesh/core-mesh.js';

/** A watch ends when it is not asked for again for 15 s, by the clock of its leader, which may jump by 3 s and be twice as fast. */
const surelyOpenMs = 4000;
/** No watch of a run has this prefix. */
const otherPrefix = 'of another client';

export class WatchRules {
  /** Watches that a run of an actor has closed, and not begun again. */
  private readonly closed = new Set<string>();
  /** By actor, term and owner: the watches that it has begun lately, and when. */
  private readonly open = new Map<string, Map<string, number>>();

  constructor(private readonly mesh: CoreMesh) {
    mesh.onWatchServed = (actor, operation, watchId) => this.onServed(actor, operation, watchId);
  }

  /** @throws InvariantViolation where the leader has closed that watch */
  onPublished(actor: Actor, watchId: string): void {
    if (!this.closed.has(nameOf(actor, watchId))) return;
    throw new InvariantViolation(
      'closed-watches-are-silent',
      `${actor.name} publishes for ${watchId}, which it has closed`,
    );
  }

  private onServed(actor: Actor, operation: 'watch' | 'unwatch', watchId: string): void {
    const name = nameOf(actor, watchId);
    const [owner = ''] = watchId.split('.');
    // With a leadership its watches end.
    const open = this.openOf(nameOf(actor, `${summaryOf(actor).term} ${owner}`));
    if (operation === 'unwatch') {
      this.closed.add(name);
      open.delete(watchId);
      return this.mesh.coverage.count('watch closed');
    }
    this.closed.delete(name);
    open.set(watchId, this.mesh.nowMs);
    if (open.size > limits.ownerWatches) {
      throw new InvariantViolation(
        'clients-have-a-bounded-number-of-watches',
        `${actor.name} has given ${open.size} watches to ${owner}`,
      );
    }
    const { generation } = actor;
    this.mesh.after(0, () => {
      // Paused, it would take this when the watch may be over.
      const isThere = actor.isUp && actor.generation === generation && actor.waiting === undefined;
      if (isThere && !this.closed.has(name)) this.tryToTakeOver(actor, watchId);
    });
  }

  /** Without those that may have ended by themselves, as nobody has asked for them again. */
  private openOf(owner: string): Map<string, number> {
    const open = this.open.get(owner) ?? new Map<string, number>();
    this.open.set(owner, open);
    for (const [watchId, askedMs] of open) if (this.mesh.nowMs - askedMs > surelyOpenMs) open.delete(watchId);
    return open;
  }

  /** Another client sends the id of that watch, with a prefix of its own. */
  private tryToTakeOver(actor: Actor, watchId: string): void {
    this.mesh.request(
      actor,
      (requestId) => {
        return { type: 'watch', requestId, watchId, selector: otherPrefix, from: undefined, encoding: 'msgpack' };
      },
      (answer) => {
        if ('result' in answer) {
          throw new InvariantViolation(
            'watches-are-not-taken-over',
            `${actor.name} gives ${watchId} to another client`,
          );
        }
        this.mesh.coverage.count('watch refused to another client');
      },
    );
  }
}

function nameOf({ name, generation }: Actor, watchId: string): string {
  return `${name} ${generation} ${watchId}`;
}
