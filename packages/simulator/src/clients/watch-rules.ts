/**
 * What each leader does with watches, by its own answers: a watch that it has closed is silent, and nobody takes over one that it
 * has. (What watchers are told is judged at the end of a run.)
 */
import { InvariantViolation } from '../invariants/invariant-violation.js';
import type { Actor } from '../mesh/actor.js';
import type { CoreMesh } from '../mesh/core-mesh.js';

/** No watch of a run has this prefix. */
const otherPrefix = 'of another client';

export class WatchRules {
  /** Watches that a run of an actor has closed, and not begun again. */
  private readonly closed = new Set<string>();

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
    if (operation === 'unwatch') {
      this.closed.add(name);
      return this.mesh.coverage.count('watch closed');
    }
    this.closed.delete(name);
    const { life } = actor;
    this.mesh.after(0, () => {
      // Paused, it would take this when the watch may be over.
      const isThere = actor.isUp && actor.life === life && actor.waiting === undefined;
      if (isThere && !this.closed.has(name)) this.tryToTakeOver(actor, watchId);
    });
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

function nameOf({ name, life }: Actor, watchId: string): string {
  return `${name} ${life} ${watchId}`;
}
