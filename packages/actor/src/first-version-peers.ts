/**
 * Which peers run the first version of Conclave. They publish and expect subjects without the sender (`<from>`). They are
 * recognised by their lists of groups, which every peer publishes each second: the first version does so on a subject of its own.
 *
 * Owns: these peers, and when something was last received from each.
 */
import { GroupList, limits, type PeerId, type Subjects } from '@conclave/protocol';
import type { Msg } from 'nats';
import type { Connection } from './nats-connection.js';

/** A peer without such a list for this long no longer runs the first version. */
const forgetMs = 5000;
const lookEveryMs = 1000;

export class FirstVersionPeers {
  private readonly receivedMs = new Map<PeerId, number>();
  private readonly stopListening: () => void;
  private timer: NodeJS.Timeout | undefined;

  /** @param onChange called when the first such peer is found, and when the last one is gone */
  constructor(
    connection: Connection,
    private readonly subjects: Subjects,
    private readonly onChange: (arePresent: boolean) => void,
  ) {
    const subject = subjects.ofFirstVersion(subjects.groupLists());
    const subscription = connection.subscribe(subject, (message) => this.onList(message));
    this.stopListening = () => {
      if (!connection.nats.isClosed()) subscription.unsubscribe();
    };
  }

  get arePresent(): boolean {
    return this.receivedMs.size > 0;
  }

  has(peerId: PeerId): boolean {
    return this.receivedMs.has(peerId);
  }

  close(): void {
    clearInterval(this.timer);
    this.stopListening();
    this.receivedMs.clear();
  }

  private onList(message: Msg): void {
    const peerId = publisherOf(message);
    if (peerId === undefined || message.subject !== this.subjects.ofFirstVersion(this.subjects.groupList(peerId)))
      return;
    if (!this.receivedMs.has(peerId) && this.receivedMs.size >= limits.discoveryPeers) return;
    this.receivedMs.set(peerId, performance.now());
    if (this.timer !== undefined) return;
    this.timer = setInterval(() => this.forget(), lookEveryMs).unref();
    this.onChange(true);
  }

  private forget(): void {
    const oldest = performance.now() - forgetMs;
    for (const [peerId, receivedMs] of this.receivedMs) if (receivedMs < oldest) this.receivedMs.delete(peerId);
    if (this.arePresent) return;
    clearInterval(this.timer);
    this.timer = undefined;
    this.onChange(false);
  }
}

function publisherOf(message: Msg): PeerId | undefined {
  try {
    return GroupList.parse(message.json()).peer_id;
  } catch {
    return undefined;
  }
}
