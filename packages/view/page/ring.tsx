/** The peers as a ring, each with its actors. Messages move between them on a canvas above the picture. */
import { signal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { drawnActors, type PeerState } from '../src/model/index.js';
import { count } from '../src/text/index.js';
import { animate } from './moving-messages.js';
import { state } from './store.js';
import { conditionNames, messageGroups, roleName } from './words.js';

/** The size of the picture in its own units: narrow windows get a narrower one, so that its texts stay legible. */
export interface RingSize {
  readonly width: number;
  readonly height: number;
}
const wideRing: RingSize = { width: 760, height: 560 };
const narrowRing: RingSize = { width: 440, height: 620 };
const narrowWindow = matchMedia('(max-width: 600px)');
const isNarrow = signal(narrowWindow.matches);
narrowWindow.addEventListener('change', () => {
  isNarrow.value = narrowWindow.matches;
});

const card = { width: 150, height: 92 } as const;

/** Where something is in the picture. */
export interface Point {
  readonly x: number;
  readonly y: number;
}

const actorNames: Readonly<Record<string, string>> = {
  node: 'node',
  replicator: 'repl',
  'ballot-box': 'ballot',
  'log-store': 'log',
};

export interface Layout {
  readonly size: RingSize;
  readonly scale: number;
  readonly centres: ReadonlyMap<string, Point>;
}

/** The centres of the peers, and how much smaller than usual they are. */
export function layout(names: readonly string[], size: RingSize): Layout {
  const n = Math.max(1, names.length);
  const scale = Math.min(1, 5.6 / Math.max(5.6, n));
  const radius = {
    x: size.width / 2 - (card.width * scale) / 2 - 8,
    y: size.height / 2 - (card.height * scale) / 2 - 8,
  };
  const centres = new Map<string, Point>();
  names.forEach((name, index) => {
    const angle = -Math.PI / 2 + (2 * Math.PI * index) / n;
    const x = size.width / 2 + (n === 1 ? 0 : radius.x * Math.cos(angle));
    const y = size.height / 2 + (n === 1 ? 0 : radius.y * Math.sin(angle));
    centres.set(name, { x, y });
  });
  return { size, scale, centres };
}

/** The centre of an actor within the picture; the feed of a peer is its edge. */
export function actorPoint(centre: Point, scale: number, actor: string): Point {
  const index = (drawnActors as readonly string[]).indexOf(actor);
  if (index < 0) return { x: centre.x, y: centre.y - 30 * scale };
  return { x: centre.x + (index - 1.5) * 35 * scale, y: centre.y + 18 * scale };
}

export function Ring({ peers }: { peers: readonly PeerState[] }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const names = peers.map(({ name }) => name);
  const size = isNarrow.value ? narrowRing : wideRing;
  const { scale, centres } = layout(names, size);
  const key = names.join(' ');
  useEffect(
    () => (canvas.current === null ? undefined : animate(canvas.current, layout(key.split(' '), size))),
    [key, size],
  );
  const { leader, election } = state.value.current;
  return (
    <>
      <div class="ring">
        <svg viewBox={`0 0 ${size.width} ${size.height}`} role="img" aria-label={summary(peers)}>
          <Links peers={peers} centres={centres} leader={leader} />
          {peers.map((peer) => (
            <Peer key={peer.name} peer={peer} at={centres.get(peer.name)} scale={scale} />
          ))}
          <Middle size={size} />
        </svg>
        <canvas ref={canvas} />
      </div>
      <ul class="legend" aria-label="Colours of messages">
        {Object.entries(messageGroups).map(([name, text]) => (
          <li key={name} title={text}>
            <i class={`dot ${name}`} />
            {name}
          </li>
        ))}
      </ul>
      {election !== null && !election.won && (
        <p class="campaign">
          {election.candidate} {election.preVote ? 'asks whether it could win an election' : 'campaigns'} in term{' '}
          {election.term}: votes of {election.granted.join(', ')}
          {election.rejected.length > 0 && `; rejected by ${election.rejected.join(', ')}`}
        </p>
      )}
    </>
  );
}

function summary(peers: readonly PeerState[]): string {
  const each = peers.map(
    ({ name, role, condition }) => `${name} ${condition === 'up' ? roleName(role) : conditionNames[condition]}`,
  );
  return `The peers of the group: ${each.join(', ')}`;
}

/** Lines from the leader to those it replicates to. */
function Links({
  peers,
  centres,
  leader,
}: {
  peers: readonly PeerState[];
  centres: ReadonlyMap<string, Point>;
  leader: string;
}) {
  const from = centres.get(leader);
  if (from === undefined) return null;
  return (
    <g class="links">
      {peers.map(({ name, membership, condition }) => {
        const to = centres.get(name);
        if (to === undefined || name === leader || membership === 'outside') return null;
        return <line key={name} class={`${membership} ${condition}`} x1={from.x} y1={from.y} x2={to.x} y2={to.y} />;
      })}
    </g>
  );
}

function Middle({ size }: { size: RingSize }) {
  const { leader, configuration, change } = state.value.current;
  const isJoint = configuration !== null && configuration.oldPeers.length > 0;
  const centre = { x: size.width / 2, y: size.height / 2 };
  const text =
    configuration === null
      ? 'configuration unknown'
      : isJoint
        ? 'two configurations are in effect'
        : `${configuration.peers.length} members`;
  const stage = change?.outcome === 'going_on' ? change.stage.replace('_', ' ') : '';
  return (
    <g class="middle">
      <text x={centre.x} y={centre.y - 6}>
        {leader === '' ? 'no leader' : text}
      </text>
      {stage !== '' && (
        <text class="stage" x={centre.x} y={centre.y + 18}>
          {stage}
        </text>
      )}
    </g>
  );
}

function Peer({ peer, at, scale }: { peer: PeerState; at: Point | undefined; scale: number }) {
  if (at === undefined) return null;
  const { name, role, membership, condition, healthy } = peer;
  // A removed peer is as it should be.
  const isIll = healthy === false && membership !== 'outside';
  const tone = condition !== 'up' ? condition : isIll ? 'unhealthy' : 'up';
  const { width, height } = card;
  return (
    <g class={`peer ${role} ${membership} ${tone}`} transform={`translate(${at.x} ${at.y}) scale(${scale})`}>
      <title>{`${name}: ${roleName(role)}${peer.reason === '' ? '' : `, ${peer.reason}`}`}</title>
      <rect class="card" x={-width / 2} y={-height / 2} width={width} height={height} rx="12" />
      {role === 'leader' && <path class="crown" d="M-66 -22 l2 -14 l6 6 l5 -9 l5 9 l6 -6 l2 14 z" />}
      <text class="name" x={role === 'leader' ? -34 : -64} y="-23">
        {name}
      </text>
      <text class="state" x="64" y="-24">
        {stateText(peer)}
      </text>
      {drawnActors.map((actor, index) => (
        <g
          key={actor}
          class={`actor ${peer.actors[actor]?.condition ?? 'up'}`}
          transform={`translate(${(index - 1.5) * 35} 12)`}
        >
          <circle r="9" />
          <text y="24">{actorNames[actor]}</text>
        </g>
      ))}
    </g>
  );
}

function stateText({ condition, role, lag, membership, healthy }: PeerState): string {
  if (condition !== 'up') return conditionNames[condition];
  if (role === 'leader') return 'leads';
  if (membership === 'outside') return 'not a member';
  if (healthy === false) return 'unhealthy';
  if (lag > 0) return `lacks ${count(lag)}`;
  return membership === 'member' ? roleName(role) : membership;
}
