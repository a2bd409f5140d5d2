/** Where lifelines and arrows are in the sequence diagram. */
import { signal } from '@preact/signals';
import type { Arrow } from '../src/model/index.js';
import { groupOf, type MessageGroup } from './words.js';

export interface Column {
  /** `n1 node`, or `client`. */
  readonly key: string;
  readonly peer: string;
  readonly actor: string;
  readonly x: number;
}

/** Sizes follow the size of the page's text, which follows the window. The first is for a text of 15 pixels. */
const unit = signal(unitNow());
addEventListener('resize', () => {
  unit.value = unitNow();
});

function unitNow(): number {
  return Number.parseFloat(getComputedStyle(document.documentElement).fontSize) / 15;
}

export interface Sizes {
  readonly row: number;
  /** The width of the times on the left. */
  readonly time: number;
  readonly head: number;
  /** Between two peers. */
  readonly gap: number;
  readonly minColumn: number;
  readonly maxColumn: number;
}

export function sizes(): Sizes {
  const scaled = (pixels: number): number => Math.round(pixels * unit.value);
  return {
    row: scaled(24),
    time: scaled(104),
    head: scaled(46),
    gap: scaled(16),
    minColumn: scaled(48),
    maxColumn: scaled(110),
  };
}

const actors = ['node', 'log-store', 'replicator', 'ballot-box'] as const;

/** The lifeline on which a message to a peer's feed ends: the listener that decides something by it. */
const feedEnds: Readonly<Record<string, string>> = {
  'feed.append': 'log-store',
  'feed.stored': 'ballot-box',
  'feed.committed': 'node',
  'feed.echo': 'ballot-box',
};

export function receiverOf(name: string, actor: string): string {
  return actor === 'feed' ? (feedEnds[name] ?? 'node') : actor;
}

export interface Filter {
  readonly peers: readonly string[];
  readonly hiddenGroups: ReadonlySet<MessageGroup>;
  readonly words: string;
}

export function isShown({ name, from, to, fields }: Arrow, { peers, hiddenGroups, words }: Filter): boolean {
  if (hiddenGroups.has(groupOf(name))) return false;
  if ([from.peer, to.peer].some((peer) => peer !== '' && !peers.includes(peer))) return false;
  if (words.trim() === '') return true;
  const text = `${name} ${from.peer} ${from.actor} ${to.peer} ${to.actor} ${JSON.stringify(fields)}`.toLowerCase();
  return words
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word));
}

export interface Columns {
  readonly columns: readonly Column[];
  /** The width of each. */
  readonly width: number;
}

/** The lifelines: programs outside the group if they send something, then the leader's actors, then those of the others. */
/** @param room the width of the diagram: the lifelines fill it, if they are not too close then */
export function columnsOf(peers: readonly string[], leader: string, arrows: readonly Arrow[], room: number): Columns {
  const outside = ['client', 'operator'].filter((actor) =>
    arrows.some(({ from, to }) => from.actor === actor || to.actor === actor),
  );
  const ordered = peers.includes(leader) ? [leader, ...peers.filter((peer) => peer !== leader)] : peers;
  const { time: timeWidth, gap: peerGap, minColumn, maxColumn } = sizes();
  const gaps = peers.length - 1 + (outside.length > 0 ? 1 : 0);
  const lifelines = peers.length * actors.length + outside.length;
  const fitting = (room - timeWidth - gaps * peerGap) / Math.max(1, lifelines);
  const width = Math.max(minColumn, Math.min(maxColumn, Math.floor(fitting)));
  let x = timeWidth + width / 2;
  const columns: Column[] = [];
  for (const actor of outside) {
    columns.push({ key: actor, peer: '', actor, x });
    x += width;
  }
  if (outside.length > 0) x += peerGap;
  for (const peer of ordered) {
    for (const actor of actors) {
      columns.push({ key: `${peer} ${actor}`, peer, actor, x });
      x += width;
    }
    x += peerGap;
  }
  return { columns, width };
}

/** The ends of an arrow; undefined: a lifeline is not shown. */
export function endsOf(
  { name, from, to }: Arrow,
  columns: readonly Column[],
): { from: number; to: number } | undefined {
  const find = (peer: string, actor: string): number | undefined =>
    columns.find((column) => column.peer === peer && column.actor === actor)?.x;
  const [start, target] = [find(from.peer, from.actor), find(to.peer, receiverOf(name, to.actor))];
  return start === undefined || target === undefined ? undefined : { from: start, to: target };
}
