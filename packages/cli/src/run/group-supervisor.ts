/**
 * The groups whose actors run in this process. It is told which there are to be, and starts and stops actors until that
 * is so.
 *
 * Invariants:
 * 1. What is followed is followed one after the other: nothing is started before what stood in its place has stopped.
 * 2. All actors of a group in this process have the same incarnation, and another one each time the group is hosted.
 */
import { type Actor, newIncarnation, type Subscription } from '@conclave/actor';
import type { ActorKind, GroupId } from '@conclave/protocol';

/** An actor that runs, and the door at which it is asked how it is. */
export interface Hosted {
  readonly actor: Actor;
  readonly health: Subscription;
}

/** Which groups are to run, each with what tells one hosting of it from the next. */
export type WantedGroups = ReadonlyMap<GroupId, string>;

interface Hosting {
  readonly hostingId: string;
  readonly hosted: readonly Hosted[];
}

/** A process's actors are started in this order: who is asked stands before who asks. */
const startOrder: readonly ActorKind[] = ['log-store', 'ballot-box', 'replicator', 'node'];

export class GroupSupervisor {
  private readonly groups = new Map<GroupId, Hosting>();
  private changing: Promise<void> = Promise.resolve();
  private stopped = false;

  constructor(
    private readonly kinds: readonly ActorKind[],
    private readonly startActor: (groupId: GroupId, kind: ActorKind, incarnation: string) => Hosted,
  ) {}

  /** Settled when these groups run here, and no others. */
  follow(wanted: WantedGroups): Promise<void> {
    const followed = this.changing.then(() => this.change(wanted));
    // A failure is told to who asked.
    this.changing = followed.catch(() => undefined);
    return followed;
  }

  /** Stops all, for good. */
  async stop(): Promise<void> {
    await this.follow(new Map());
    this.stopped = true;
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
    return kinds.map((kind) => this.startActor(groupId, kind, incarnation));
  }
}

async function stopActors(hosted: readonly Hosted[]): Promise<void> {
  for (const { actor, health } of hosted.toReversed()) {
    health.close();
    await actor.stop();
  }
}
