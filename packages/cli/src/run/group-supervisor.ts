/**
 * Runs the actors of the wanted groups in this process: `follow` receives the groups, and starts and stops actors accordingly.
 * Invariants:
 * 1. Calls of `follow` are carried out one after the other: nothing is started before its predecessor has stopped.
 * 2. All actors of a group in this process have the same incarnation, and another one each time the group is hosted.
 */
import { type Actor, newIncarnation, type Subscription } from '@conclave/actor';
import type { ActorKind, GroupId } from '@conclave/protocol';

/** A running actor, and its subscription for requests about its health and its metrics. */
export interface Hosted {
  readonly kind: ActorKind;
  readonly actor: Actor;
  readonly requests: Subscription;
}

/** A running actor, and its group. */
export interface HostedActor extends Pick<Hosted, 'actor' | 'kind'> {
  readonly groupId: GroupId;
}

/** The wanted groups, each with an id that distinguishes one hosting from the next. */
export type WantedGroups = ReadonlyMap<GroupId, string>;

interface Hosting {
  readonly hostingId: string;
  readonly hosted: readonly Hosted[];
}

/** The order in which a process starts its actors: an actor that receives requests starts before those that send them. */
const startOrder: readonly ActorKind[] = ['log-store', 'ballot-box', 'replicator', 'node'];

export class GroupSupervisor {
  private readonly groups = new Map<GroupId, Hosting>();
  private changing: Promise<void> = Promise.resolve();
  private stopped = false;

  constructor(
    private readonly kinds: readonly ActorKind[],
    /** The last argument: whether it is the first actor of its group in this process. */
    private readonly startActor: (groupId: GroupId, kind: ActorKind, incarnation: string, isFirst: boolean) => Hosted,
  ) {}

  /** Resolves when exactly these groups run in this process. */
  follow(wanted: WantedGroups): Promise<void> {
    const followed = this.changing.then(() => this.change(wanted));
    // The caller receives the failure.
    this.changing = followed.catch(() => undefined);
    return followed;
  }

  /** Stops all actors permanently. */
  async stop(): Promise<void> {
    await this.follow(new Map());
    this.stopped = true;
  }

  /** All running actors. */
  get actors(): HostedActor[] {
    return [...this.groups].flatMap(([groupId, { hosted }]) =>
      hosted.map(({ kind, actor }) => ({ groupId, kind, actor })),
    );
  }

  private async change(wanted: WantedGroups): Promise<void> {
    if (this.stopped) return;
    for (const [groupId, { hostingId, hosted }] of [...this.groups].toReversed()) {
      if (wanted.get(groupId) === hostingId) continue;
      this.groups.delete(groupId);
      await stopActors(hosted);
    }
    for (const [groupId, hostingId] of wanted) {
      if (!this.groups.has(groupId)) this.groups.set(groupId, { hostingId, hosted: this.startActors(groupId) });
    }
  }

  private startActors(groupId: GroupId): Hosted[] {
    const incarnation = newIncarnation();
    const kinds = startOrder.filter((kind) => this.kinds.includes(kind));
    return kinds.map((kind, place) => this.startActor(groupId, kind, incarnation, place === 0));
  }
}

async function stopActors(hosted: readonly Hosted[]): Promise<void> {
  for (const { actor, requests } of hosted.toReversed()) {
    requests.close();
    await actor.stop();
  }
}
