/**
 * Delivers messages between processes: each pair has a link, on which messages arrive in order; between links there is
 * no order. It loses some messages, delivers some twice, and lets nothing through a cut. It owns delivery; it does not
 * know what is sent.
 */
import type { Coverage } from './coverage.js';
import type { Random } from './random.js';
import { type NatsConnection, VirtualNats } from './virtual-nats.js';
import type { VirtualTime } from './virtual-time.js';

/** A process as the network knows it. */
export interface Endpoint {
  /** `n1.node`, `n1.duplicate-node`, `c1`. */
  readonly name: string;
  /** `n1`, `c1`. */
  readonly owner: string;
  readonly connection: NatsConnection;
}

export interface NetworkConditions {
  /** Probabilities of each message to be lost, and to be delivered twice. */
  loss: number;
  repeat: number;
  /** Maximum milliseconds of a delivery. */
  delay: number;
  /** Maximum milliseconds of an actor's turn. */
  turn: number;
}

export const goodConditions: NetworkConditions = { loss: 0, repeat: 0, delay: 2, turn: 0 };

interface Cut {
  readonly groups: readonly (readonly string[])[];
  readonly oneWay: boolean;
}

interface Link {
  readonly random: Random;
  lastArrivalMs: number;
  /** Additional milliseconds of each delivery on it. */
  lateMs: number;
  /** The version of the cuts for which `isCut` is valid. */
  cutsSeen: number;
  isCut: boolean;
}

/** A repeat arrives up to this many milliseconds later. */
const lateMs = 500;

export class VirtualNetwork {
  conditions: NetworkConditions = { ...goodConditions };
  readonly nats: VirtualNats;
  /** By name: the process that has it now. */
  private readonly endpoints = new Map<string, Endpoint>();
  private readonly links = new Map<string, Map<string, Link>>();
  private cuts: Cut[] = [];
  private readonly lateMessages = new Map<string, number>();
  /** By peer. */
  private readonly slow = new Map<string, number>();
  private readonly lateLinks: (readonly [string, string])[] = [];
  private sent = 0;
  /** Increased when a cut or a slow peer comes or goes. */
  private faults = 0;

  constructor(
    private readonly random: Random,
    private readonly coverage: Coverage,
    private readonly time: VirtualTime,
  ) {
    this.nats = new VirtualNats(random.stream('NATS'), (ms, run) => this.time.after(ms, run));
  }

  /** Delays messages of this name, so that later ones overtake them, until `endCuts`. */
  delayMessages(name: string, ms: number): void {
    this.lateMessages.set(name, ms);
  }

  /** Delays all messages from one process to another, in order, until `endCuts`. */
  delayLink(from: string, to: string, ms: number): void {
    this.coverage.count('link delayed');
    this.lateLinks.push([from, to]);
    this.link(from, to).lateMs = ms;
  }

  /** Connects a process to NATS; it receives what is sent to its name from now on. */
  connect(endpoint: Endpoint): void {
    this.endpoints.set(endpoint.name, endpoint);
    for (const link of this.links.get(endpoint.name)?.values() ?? []) link.lastArrivalMs = 0;
    this.nats.connect(endpoint.connection);
  }

  disconnect(endpoint: Endpoint): void {
    this.nats.close(endpoint.connection);
    if (this.endpoints.get(endpoint.name) === endpoint) this.endpoints.delete(endpoint.name);
  }

  /**
   * Sends something to a name; `deliver` is called when it arrives: once, twice or never.
   * @param message its name, if it is a message between actors
   * @returns when it arrives for the first time, unless something prevents that meanwhile; undefined: it is lost
   */
  send<E extends Endpoint>(from: Endpoint, to: string, deliver: (to: E) => void, message = ''): number | undefined {
    const link = this.link(from.name, to);
    const { lateMessages } = this;
    const late = lateMessages.size === 0 ? 0 : (lateMessages.get(message) ?? 0);
    if (late > 0) this.coverage.count(`${message} delayed`);
    if (link.random.chance(this.conditions.loss)) {
      this.coverage.count('message lost');
      return undefined;
    }
    const arrivesMs = this.carry(link, from, to, deliver, late);
    if (!link.random.chance(this.conditions.repeat)) return arrivesMs;
    this.coverage.count('message repeated');
    this.carry(link, from, to, deliver, lateMs * link.random.next());
    return arrivesMs;
  }

  /**
   * The same, but never twice: for requests of clients. NATS repeats nothing by itself; a late repeat models the
   * resends of actors, but each attempt of a client has a reply subject of its own.
   * @returns when it arrives, as `send`
   */
  sendOnce<E extends Endpoint>(from: Endpoint, to: string, deliver: (to: E) => void): number | undefined {
    const link = this.link(from.name, to);
    if (link.random.chance(this.conditions.loss)) {
      this.coverage.count('message lost');
      return undefined;
    }
    return this.carry(link, from, to, deliver, 0);
  }

  /** Whether a message that is sent now would arrive if nothing changes: both are connected, and no cut is between them. */
  isOpen(from: Endpoint, to: string): boolean {
    const target = this.endpoints.get(to);
    if (target === undefined || !this.nats.isReached(from.connection, target.connection)) return false;
    return !this.isCut(this.link(from.name, to), from, target);
  }

  /** Delays all messages that this peer sends or receives by so much, until `endCuts`; 0: no longer. */
  slowDown(owner: string, ms: number): void {
    if (ms > 0) this.slow.set(owner, ms);
    else this.slow.delete(owner);
    this.faults += 1;
  }

  /** Another number: a cut or a slow peer has come or gone. */
  get version(): number {
    return this.faults;
  }

  /** The peers that `slowDown` delays. */
  get slowOwners(): Iterable<string> {
    return this.slow.keys();
  }

  /** The peers and actors that a cut separates from others: those in the smaller parts, and those that receive nothing. */
  get isolated(): ReadonlySet<string> {
    return new Set(
      this.cuts.flatMap(({ groups, oneWay }) => {
        if (oneWay) return [...(groups[1] ?? [])];
        const maxLength = Math.max(...groups.map(({ length }) => length));
        const main = groups.find(({ length }) => length === maxLength);
        return groups.filter((group) => group !== main).flat();
      }),
    );
  }

  private carry<E extends Endpoint>(
    link: Link,
    from: Endpoint,
    to: string,
    deliver: (to: E) => void,
    late: number,
  ): number | undefined {
    const passage = this.nats.passage(from.connection);
    if (passage === undefined) {
      this.coverage.count('message lost: no connection to NATS');
      return undefined;
    }
    this.sent += 1;
    const order = this.sent;
    let atMs = this.time.nowMs + link.lateMs + link.random.next() * this.conditions.delay;
    if (this.slow.size > 0) atMs += this.slowness(from, to);
    // In order, except late repeats.
    if (late > 0) atMs += late;
    else if (atMs < link.lastArrivalMs) atMs = link.lastArrivalMs;
    else link.lastArrivalMs = atMs;
    this.time.at(atMs, () => {
      const target = this.endpoints.get(to);
      if (target === undefined) return;
      if (!this.nats.isOpen(passage, target.connection)) {
        return this.coverage.count('message lost: its NATS server or the route went away');
      }
      if (this.isCut(link, from, target)) return this.coverage.count(this.cutName(from, target));
      // Messages of one link arrive in order.
      if (order < target.connection.newestHeard) this.coverage.count('message overtaken by one of another link');
      else target.connection.newestHeard = order;
      deliver(target as E);
    });
    return atMs;
  }

  private slowness(from: Endpoint, to: string): number {
    const receiver = to.split('.')[0] as string;
    // Its own actors are near each other.
    if (receiver === from.owner) return 0;
    return (this.slow.get(from.owner) ?? 0) + (this.slow.get(receiver) ?? 0);
  }

  private cutName(from: Endpoint, to: Endpoint): string {
    if (from.owner === to.owner) return 'message cut off between the actors of a peer';
    return this.cuts.some(({ oneWay }) => oneWay) ? 'message cut off, one way' : 'message cut off by a partition';
  }

  cut(groups: readonly (readonly string[])[], oneWay: boolean): void {
    this.cuts.push({ groups, oneWay });
    this.faults += 1;
  }

  /** Ends all cuts, also those of routes, and all delays. */
  endCuts(): void {
    this.cuts = [];
    this.lateMessages.clear();
    this.slow.clear();
    for (const [from, to] of this.lateLinks.splice(0)) this.link(from, to).lateMs = 0;
    this.faults += 1;
    this.nats.healRoutes();
  }

  private link(from: string, to: string): Link {
    let links = this.links.get(from);
    if (links === undefined) {
      links = new Map();
      this.links.set(from, links);
    }
    let link = links.get(to);
    if (link === undefined) {
      link = { random: this.random.stream(`${from} > ${to}`), lastArrivalMs: 0, lateMs: 0, cutsSeen: -1, isCut: false };
      links.set(to, link);
    }
    return link;
  }

  private isCut(link: Link, from: Endpoint, to: Endpoint): boolean {
    if (link.cutsSeen !== this.faults) {
      link.cutsSeen = this.faults;
      link.isCut = this.cuts.some((cut) => separates(cut, from, to));
    }
    return link.isCut;
  }
}

function separates({ groups, oneWay }: Cut, from: Endpoint, to: Endpoint): boolean {
  const source = groups.findIndex((group) => holds(group, from));
  const target = groups.findIndex((group) => holds(group, to));
  if (source < 0 || target < 0) return false;
  return oneWay ? source === 0 && target === 1 : source !== target;
}

function holds(group: readonly string[], { name, owner }: Endpoint): boolean {
  return group.includes(name) || group.includes(owner);
}
