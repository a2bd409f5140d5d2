/** The plan of a chaos run: all of it follows from the seed. Only the timing is real. */
import { Random } from '@conclave/simulator';
import { type ActorKind, actorKinds } from '../support/peers.js';

export const peerNames = ['n1', 'n2', 'n3', 'n4', 'n5'] as const;
export const serverNames = ['s1', 's2', 's3'] as const;
export type PeerName = (typeof peerNames)[number];
export type ServerName = (typeof serverNames)[number];
/** `leader`: the peer that leads at that time. */
export type PeerChoice = PeerName | 'leader';
/** `leader`: the one that the leader's node uses. */
export type ServerChoice = ServerName | 'leader';

/** What is done to a process. */
type ProcessHarm = 'kill' | 'pause';
/** What is done to connections; `stall`: nothing passes, and nothing is closed. */
export type LinkHarm = 'cut' | 'stall' | 'slow';

export type Fault =
  | { readonly harm: ProcessHarm; readonly at: 'actor'; readonly peer: PeerChoice; readonly actor: ActorKind }
  /** All of a peer's processes. */
  | { readonly harm: ProcessHarm; readonly at: 'peer'; readonly peer: PeerChoice }
  | { readonly harm: 'kill'; readonly at: 'all_peers' }
  | { readonly harm: ProcessHarm; readonly at: 'server'; readonly server: ServerName }
  | { readonly harm: 'kill'; readonly at: 'all_servers' }
  /** A peer's connections to the servers that it is connected to; there are others for it. */
  | { readonly harm: LinkHarm; readonly at: 'link'; readonly peer: PeerChoice }
  /** A peer's connections to all servers: it is alone. */
  | { readonly harm: LinkHarm; readonly at: 'all_links'; readonly peer: PeerChoice }
  /** The connections of one actor's process to all servers: it runs, but is unreachable. */
  | { readonly harm: LinkHarm; readonly at: 'actor_links'; readonly peer: PeerChoice; readonly actor: ActorKind }
  /** Between two servers: the peers and clients of one do not reach those of the other. */
  | { readonly harm: LinkHarm; readonly at: 'route'; readonly server: ServerName; readonly other: ServerName }
  | { readonly harm: LinkHarm; readonly at: 'all_routes'; readonly server: ServerChoice }
  /** The clients' connections to a server. */
  | { readonly harm: LinkHarm; readonly at: 'clients'; readonly server: ServerName };

/** What the operator asks for. */
export type Command =
  | { readonly type: 'change'; readonly newPeers: readonly PeerName[]; readonly timeoutMs: number }
  | { readonly type: 'cancel' }
  /** `undefined`: to the most up-to-date. */
  | { readonly type: 'transfer'; readonly to: PeerName | undefined };

export interface PlannedFault {
  readonly atMs: number;
  readonly lastsMs: number;
  readonly fault: Fault;
}

export interface PlannedCommand {
  readonly atMs: number;
  readonly command: Command;
}

/** The servers that a peer knows: all, its own first, or only its own. Peers that know all servers gather at one in time. */
export type Wiring = 'all' | 'own';

export interface ChaosPlan {
  readonly wiring: Wiring;
  readonly faults: readonly PlannedFault[];
  readonly commands: readonly PlannedCommand[];
}

/** Random streams, independent of each other. Clients have those from `clients` on. */
export const streams = { faults: 1, commands: 2, wiring: 3, clients: 10 } as const;

/** Each fault with its relative frequency. */
const weights: readonly (readonly [number, (random: Random) => Fault])[] = [
  [22, (random) => ({ harm: 'kill', at: 'actor', ...drawActor(random) })],
  [10, (random) => ({ harm: 'kill', at: 'peer', peer: drawPeer(random) })],
  [1, () => ({ harm: 'kill', at: 'all_peers' })],
  [16, (random) => ({ harm: 'pause', at: 'actor', ...drawActor(random) })],
  [5, (random) => ({ harm: 'pause', at: 'peer', peer: drawPeer(random) })],
  [6, (random) => ({ harm: 'kill', at: 'server', server: random.pick(serverNames) })],
  [3, (random) => ({ harm: 'pause', at: 'server', server: random.pick(serverNames) })],
  [1, () => ({ harm: 'kill', at: 'all_servers' })],
  [7, (random) => ({ harm: drawLinkHarm(random), at: 'link', peer: drawPeer(random) })],
  [7, (random) => ({ harm: drawLinkHarm(random), at: 'all_links', peer: drawPeer(random) })],
  [7, (random) => ({ harm: drawLinkHarm(random), at: 'actor_links', ...drawActor(random) })],
  [9, (random) => ({ harm: drawLinkHarm(random), at: 'route', ...drawRoute(random) })],
  [9, (random) => ({ harm: drawLinkHarm(random), at: 'all_routes', server: drawServer(random) })],
  [4, (random) => ({ harm: drawLinkHarm(random), at: 'clients', server: random.pick(serverNames) })],
];

/** Faults of a leader during a change. */
const leaderFaults: readonly ((random: Random) => Fault)[] = [
  (random) => ({ harm: 'kill', at: 'actor', peer: 'leader', actor: random.pick(actorKinds) }),
  () => ({ harm: 'kill', at: 'peer', peer: 'leader' }),
  (random) => ({ harm: 'pause', at: 'actor', peer: 'leader', actor: random.pick(actorKinds) }),
  (random) => ({ harm: drawLinkHarm(random), at: 'all_links', peer: 'leader' }),
  (random) => ({ harm: drawLinkHarm(random), at: 'all_routes', server: 'leader' }),
  (random) => ({ harm: drawLinkHarm(random), at: 'actor_links', peer: 'leader', actor: random.pick(actorKinds) }),
];

const faultEveryMs = 1200;
const commandEveryMs = 2500;
const startMs = 500;
/** Breaks without new faults, in which the group can recover. */
const breakEveryMs = 20_000;
const breakMs = 4000;

export function planChaos(seed: number, lengthMs: number): ChaosPlan {
  const wiring = new Random(seed, streams.wiring).chance(0.5) ? 'all' : 'own';
  const ofFaults = new Random(seed, streams.faults);
  const ofCommands = new Random(seed, streams.commands);
  const faults = moments(ofFaults, faultEveryMs, lengthMs).map((atMs) => drawFault(ofFaults, atMs));
  const commands = moments(ofCommands, commandEveryMs, lengthMs).map((atMs) => ({
    atMs,
    command: drawCommand(ofCommands),
  }));
  for (const { atMs, command } of [...commands]) {
    if (command.type !== 'change') continue;
    if (ofCommands.chance(0.3)) commands.push({ atMs: atMs + ofCommands.below(1500), command: { type: 'cancel' } });
    if (ofCommands.chance(0.5)) continue;
    const fault = ofCommands.pick(leaderFaults)(ofCommands);
    faults.push({ atMs: atMs + ofCommands.below(800), lastsMs: drawLength(ofCommands, fault), fault });
  }
  const inOrder = <T extends { readonly atMs: number }>(items: T[]) => items.sort((a, b) => a.atMs - b.atMs);
  return { wiring, faults: inOrder(faults), commands: inOrder(commands) };
}

/** Returns the kind of a fault, for counting. */
export function faultName({ harm, at }: Fault): string {
  return `${harm} ${at.replaceAll('_', ' ')}`;
}

/** All kinds of faults that a plan may have. */
export const faultNames: readonly string[] = [
  ...['actor', 'peer', 'server'].flatMap((at) => [`kill ${at}`, `pause ${at}`]),
  'kill all peers',
  'kill all servers',
  ...['link', 'all links', 'actor links', 'route', 'all routes', 'clients'].flatMap((at) =>
    ['cut', 'stall', 'slow'].map((harm) => `${harm} ${at}`),
  ),
];

/** The plan as text, a line for each thing to do. */
export function describePlan({ wiring, faults, commands }: ChaosPlan): string {
  const lines = [
    ...faults.map(({ atMs, lastsMs, fault }) => ({ atMs, text: `${describeFault(fault)} for ${lastsMs} ms` })),
    ...commands.map(({ atMs, command }) => ({ atMs, text: describeCommand(command) })),
  ];
  const sorted = lines
    .sort((one, other) => one.atMs - other.atMs)
    .map(({ atMs, text }) => `${String(atMs).padStart(8)} ms  ${text}\n`);
  return `${describeWiring(wiring)}\n${sorted.join('')}`;
}

export function describeWiring(wiring: Wiring): string {
  return wiring === 'own' ? 'each peer knows its own NATS server alone' : 'each peer knows all NATS servers';
}

export function describeFault(fault: Fault): string {
  const { harm } = fault;
  switch (fault.at) {
    case 'actor':
      return `${harm} the ${fault.actor} of ${peerWord(fault.peer)}`;
    case 'peer':
      return `${harm} ${peerWord(fault.peer)}`;
    case 'server':
      return `${harm} ${fault.server}`;
    case 'all_peers':
    case 'all_servers':
      return faultName(fault);
    case 'link':
      return `${harm} ${peerWord(fault.peer)} from its server`;
    case 'all_links':
      return `${harm} ${peerWord(fault.peer)} from all servers`;
    case 'actor_links':
      return `${harm} the ${fault.actor} of ${peerWord(fault.peer)} from all servers`;
    case 'route':
      return `${harm} the route between ${fault.server} and ${fault.other}`;
    case 'all_routes':
      return `${harm} all routes of ${fault.server === 'leader' ? "the leader's server" : fault.server}`;
    case 'clients':
      return `${harm} the clients from ${fault.server}`;
  }
}

export function describeCommand(command: Command): string {
  switch (command.type) {
    case 'change':
      return `change to {${command.newPeers}} within ${command.timeoutMs} ms`;
    case 'cancel':
      return 'cancel the change';
    case 'transfer':
      return `transfer the leadership to ${command.to ?? 'the most up-to-date'}`;
  }
}

function peerWord(peer: PeerChoice): string {
  return peer === 'leader' ? 'the leader' : peer;
}

/** Returns times with a mean distance, none within a break. */
function moments(random: Random, everyMs: number, lengthMs: number): number[] {
  const found: number[] = [];
  for (let atMs = startMs; atMs < lengthMs; atMs += Math.ceil(-Math.log(1 - random.next()) * everyMs)) {
    if ((atMs + breakEveryMs / 2) % breakEveryMs >= breakMs) found.push(atMs);
  }
  return found;
}

function drawFault(random: Random, atMs: number): PlannedFault {
  let left = random.below(weights.reduce((sum, [weight]) => sum + weight, 0));
  const chosen = weights.find(([weight]) => {
    left -= weight;
    return left < 0;
  });
  if (chosen === undefined) throw new Error('the weights are drawn from');
  const fault = chosen[1](random);
  return { atMs, lastsMs: drawLength(random, fault), fault };
}

/** Mostly around an election timeout, some much longer; two sides of a group are kept apart until both have acted. */
function drawLength(random: Random, { at }: Fault): number {
  const isLong = random.chance(at === 'all_routes' ? 0.7 : 0.15);
  return isLong ? 2000 + random.below(5000) : 100 + random.below(2000);
}

function drawPeer(random: Random): PeerChoice {
  return random.chance(0.3) ? 'leader' : random.pick(peerNames);
}

function drawServer(random: Random): ServerChoice {
  return random.chance(0.5) ? 'leader' : random.pick(serverNames);
}

function drawActor(random: Random): { peer: PeerChoice; actor: ActorKind } {
  return { peer: drawPeer(random), actor: random.pick(actorKinds) };
}

function drawLinkHarm(random: Random): LinkHarm {
  return random.pick(['cut', 'stall', 'slow'] as const);
}

function drawRoute(random: Random): { server: ServerName; other: ServerName } {
  const server = random.pick(serverNames);
  return { server, other: random.pick(serverNames.filter((name) => name !== server)) };
}

function drawCommand(random: Random): Command {
  const dice = random.next();
  if (dice < 0.75) {
    const wanted = random.pick([1, 2, 3, 3, 3, 4, 5, 5]);
    const left: PeerName[] = [...peerNames];
    while (left.length > wanted) left.splice(random.below(left.length), 1);
    return { type: 'change', newPeers: left, timeoutMs: 500 + random.below(5000) };
  }
  if (dice < 0.8) return { type: 'cancel' };
  return { type: 'transfer', to: random.chance(0.5) ? random.pick(peerNames) : undefined };
}
