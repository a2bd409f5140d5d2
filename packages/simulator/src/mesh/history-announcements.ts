/** Delivers the announcements of leaders (`led_history`) over the virtual network. */
import type { HistoryAnnouncement } from '@conclave/protocol';
import type { Actor } from './actor.js';
import type { ActorHost } from './actor-host.js';
import type { LeaderAnnouncement, MeshWatcher } from './mesh-watcher.js';
import type { MessageGate } from './message-router.js';

/** What the announcements need of the mesh. */
export interface AnnouncementHost extends ActorHost {
  /** Undefined: every announcement is delivered when it arrives. */
  readonly gate: MessageGate | undefined;
  readonly watcher: MeshWatcher | undefined;
  /** The nodes that serve the group's subjects. */
  readonly servers: Actor[];
  isServing(actor: Actor): boolean;
}

export class HistoryAnnouncements {
  /** Nodes of peers that are not members: they subscribe to announcements of leaders. */
  private readonly outside = new Set<Actor>();

  constructor(private readonly mesh: AnnouncementHost) {}

  subscribe(actor: Actor): void {
    this.outside.add(actor);
  }

  unsubscribe(actor: Actor): void {
    this.outside.delete(actor);
  }

  publish(from: Actor, body: HistoryAnnouncement): void {
    const { mesh } = this;
    const announcement: LeaderAnnouncement = { name: 'led_history', body };
    for (const { name } of mesh.servers) {
      if (name === from.name) continue;
      const arrivesMs = mesh.network.sendOnce<Actor>(from, name, (to) => {
        const deliver = (): void => mesh.runOrDefer(to, () => this.deliver(from, to, body));
        if (mesh.gate?.(from, to, announcement, deliver) !== false) deliver();
      });
      mesh.watcher?.onMessage(from, name, announcement, arrivesMs);
    }
  }

  private deliver(from: Actor, to: Actor, body: HistoryAnnouncement): void {
    if (this.mesh.isServing(to) || this.outside.has(to)) this.mesh.step(to, { type: 'led_history', body }, from.name);
  }
}
