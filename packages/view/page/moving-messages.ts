/** Messages as dots that move from actor to actor. */
import type { MessageRecord } from '../src/records/record.js';
import { actorPoint, type Layout, type Point } from './ring.js';
import { receiverOf } from './sequence-layout.js';
import { messageListeners } from './store.js';
import { colour } from './theme.js';
import { groupOf, messageGroups } from './words.js';

interface Dot {
  readonly from: Point;
  readonly to: Point;
  readonly colour: string;
  readonly startMs: number;
  readonly lost: boolean;
  readonly small: boolean;
}

/** How long a dot moves; more than this many are not drawn. */
const travelMs = 550;
const maxDots = 400;
/** The server delivers the messages of this time at once; the dots start over it, as the messages did. */
const spreadMs = 100;

/** Draws until the returned function is called. */
export function animate(canvas: HTMLCanvasElement, { size, scale, centres }: Layout): () => void {
  // Who does not want motion reads the numbers and the list of messages.
  if (matchMedia('(prefers-reduced-motion: reduce)').matches) return () => undefined;
  let dots: Dot[] = [];
  let frame = 0;
  const context = canvas.getContext('2d');

  const place = (peer: string, actor: string): Point | undefined => {
    if (peer === '') return { x: size.width / 2, y: size.height / 2 + 60 };
    const centre = centres.get(peer);
    return centre === undefined ? undefined : actorPoint(centre, scale, actor);
  };

  const onMessages = (messages: readonly MessageRecord[]): void => {
    if (document.hidden) return;
    const colours = Object.fromEntries(Object.keys(messageGroups).map((name) => [name, colour(`message-${name}`)]));
    const now = performance.now();
    const first = messages[0]?.at ?? 0;
    for (const { name, from, to, at, lost } of messages) {
      if (dots.length >= maxDots) break;
      const [start, end] = [place(from.peer, from.actor), place(to.peer, receiverOf(name, to.actor))];
      if (start === undefined || end === undefined) continue;
      const group = groupOf(name);
      dots.push({
        from: start,
        to: end,
        colour: colours[group] ?? 'gray',
        startMs: now + Math.min(spreadMs, at - first),
        lost: lost === true,
        small: group === 'heartbeat',
      });
    }
    if (dots.length > 0 && frame === 0) frame = requestAnimationFrame(draw);
  };

  const draw = (now: number): void => {
    frame = 0;
    if (context === null) return;
    const density = devicePixelRatio;
    const [width, height] = [canvas.clientWidth * density, canvas.clientHeight * density];
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    context.clearRect(0, 0, width, height);
    const factor = width / size.width;
    for (const dot of dots) drawDot(context, dot, (now - dot.startMs) / travelMs, factor);
    dots = dots.filter(({ startMs }) => now - startMs < travelMs);
    if (dots.length > 0) frame = requestAnimationFrame(draw);
    else context.clearRect(0, 0, width, height);
  };

  messageListeners.add(onMessages);
  return () => {
    messageListeners.delete(onMessages);
    cancelAnimationFrame(frame);
  };
}

function drawDot(context: CanvasRenderingContext2D, dot: Dot, part: number, factor: number): void {
  if (part < 0 || part > 1) return;
  const eased = part < 0.5 ? 2 * part * part : 1 - (2 - 2 * part) ** 2 / 2;
  // Messages there and back take different ways.
  const [dx, dy] = [dot.to.x - dot.from.x, dot.to.y - dot.from.y];
  const bend = Math.sin(eased * Math.PI) * 0.06;
  const x = (dot.from.x + dx * eased - dy * bend) * factor;
  const y = (dot.from.y + dy * eased + dx * bend) * factor;
  if (dot.lost && part > 0.55) return;
  context.globalAlpha = Math.min(1, part * 8, (1 - part) * 8) * (dot.small ? 0.55 : 1);
  context.fillStyle = dot.colour;
  context.beginPath();
  context.arc(x, y, (dot.small ? 2.6 : 4.6) * factor, 0, 2 * Math.PI);
  context.fill();
  context.globalAlpha = 1;
}
