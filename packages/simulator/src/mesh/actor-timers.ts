/** The timers of actors: they run on the actors' own clocks, and fire as inputs of their cores. */
import type { Actor } from './actor.js';
import type { ActorHost } from './actor-host.js';

export class ActorTimers {
  private lastId = 0;

  constructor(private readonly mesh: ActorHost) {}

  /** Sets a timer of an actor, in place of its earlier setting. @param afterMs by the actor's clock */
  set(actor: Actor, timer: string, afterMs: number): void {
    const { mesh } = this;
    this.lastId += 1;
    const id = this.lastId;
    actor.timers.set(timer, id);
    const { generation } = actor;
    mesh.after(actor.clock.taken(afterMs), () => {
      mesh.runOrDefer(actor, () => {
        if (actor.generation !== generation || actor.timers.get(timer) !== id) return;
        actor.timers.delete(timer);
        mesh.step(actor, { type: 'timer', timer }, 'clock');
      });
    });
  }

  cancel(actor: Actor, timer: string): void {
    actor.timers.delete(timer);
  }
}
