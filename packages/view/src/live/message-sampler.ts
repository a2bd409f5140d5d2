/**
 * Chooses which messages are shown when there are more than people can follow.
 *
 * Invariants:
 * 1. A window with at most `budget` messages is shown completely.
 * 2. Otherwise at most `budget` of it are shown, in their order: first what decides elections and leadership, then the newest of each
 *    kind between two actors, in turn. The newest acknowledgement of a log contains the earlier ones.
 * 3. An append that is shown is followed by the first commit that contains it, so that the time between them is true.
 */
import type { MessageRecord } from '../records/record.js';

/** Rare, and what people look for. */
const essential = new Set([
  'node.request_vote',
  'ballot-box.vote_response',
  'ballot-box.elect',
  'node.elected',
  'ballot-box.lead',
  'replicator.lead',
  'replicator.targets',
  'replicator.transfer',
  'node.timeout_now',
  'node.higher_term',
  'node.change_announced',
]);

export class MessageSampler {
  private window: MessageRecord[] = [];
  /** The index of the shown append whose commit is awaited. */
  private awaited: number | undefined;
  /** The kind with which the next window begins. */
  private turn = 0;

  /** @param budget messages of a window */
  constructor(private readonly budget: number) {}

  add(message: MessageRecord): void {
    this.window.push(message);
  }

  /** Ends the window: returns the messages to show, and how many there were. */
  take(): { shown: MessageRecord[]; sent: number } {
    const { window } = this;
    this.window = [];
    if (window.length <= this.budget) {
      this.awaited = undefined;
      return { shown: window, sent: window.length };
    }
    return { shown: this.sample(window), sent: window.length };
  }

  private sample(window: readonly MessageRecord[]): MessageRecord[] {
    const first: MessageRecord[] = [];
    // More of them would show nothing but the leader's own log.
    let pairs = Math.max(2, Math.floor(this.budget / 5));
    const newest = new Map<string, MessageRecord>();
    for (const message of window) {
      const { name, from, to } = message;
      if (essential.has(name)) first.push(message);
      else if ((pairs > 0 || this.awaited !== undefined) && this.isPaired(message)) {
        pairs -= 1;
        first.push(message);
      } else if (name !== 'feed.append' && name !== 'feed.committed') {
        newest.set(`${name} ${from.peer} ${to.peer}`, message);
      }
    }
    const others = [...newest.values()];
    const room = Math.max(0, this.budget - first.length);
    const start = others.length === 0 ? 0 : this.turn % others.length;
    const chosen = [...others.slice(start), ...others.slice(0, start)].slice(0, room);
    this.turn += room;
    const shown = new Set([...first.slice(0, this.budget), ...chosen]);
    return window.filter((message) => shown.has(message));
  }

  /** Whether it is an append that is followed to its commit, or that commit. */
  private isPaired({ name, from, to, fields }: MessageRecord): boolean {
    if (name === 'feed.append' && from.peer === to.peer && typeof fields.verified_index === 'number') {
      if (this.awaited !== undefined) return false;
      this.awaited = fields.verified_index;
      return true;
    }
    if (name === 'feed.committed' && this.awaited !== undefined && Number(fields.index) >= this.awaited) {
      this.awaited = undefined;
      return true;
    }
    return false;
  }
}
