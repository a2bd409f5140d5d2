/**
 * Rules of watches at each leader, by its own replies: a closed watch is silent, no client can take over another's
 * watch, and a client has a bounded number of them. (What watches received is checked at the end of a run.)
 */
import { limits } from '@conclave/protocol';
import { InvariantViolation } from '../invariants/invariant-violation.js';
import { summaryOf } from '../invariants/record/nodes.js';
import type { Actor } from '../mesh/actor.js';
import type { CoreMesh } from '../mesh/core-mesh.js';

/** A watch ends if it is not renewed for 15 s, by the clock of its leader, which may jump by 3 s and run twice as fast. */
const surelyOpenMs = 4000;
/** No watch of a run has this prefix. */
const otherPrefix = 'of another client';

export class WatchRules {
  /** By generation of an actor: watches that it has closed and not opened again. */
  private readonly closed = new Set<string>();
  /** By actor, term and owner: the recent watches, and when they were opened. */
  private readonly open = new Map<string, Map<string, number>>();

  constructor(private readonly mesh: CoreMesh) {
    mesh.onWatchServed = (actor, operation, watchId) => this.onServed(actor, operation, watchId);
  }

  /** @throws InvariantViolation if the leader has closed that watch */
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
    // The watches of a leader end with its term.
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
      // A paused leader would receive this when the watch may have ended.
      const isRunning = actor.isUp && actor.generation === generation && actor.waiting === undefined;
      if (isRunning && !this.closed.has(name)) this.tryToTakeOver(actor, watchId);
    });
  }

  /** Returns the watches without those that may have expired, as they were not renewed. */
  private openOf(owner: string): Map<string, number> {
    const open = this.open.get(owner) ?? new Map<string, number>();
    this.open.set(owner, open);
    for (const [watchId, askedMs] of open) if (this.mesh.nowMs - askedMs > surelyOpenMs) open.delete(watchId);
    return open;
  }

  /** Another client requests that watch's id, with another prefix. */
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
