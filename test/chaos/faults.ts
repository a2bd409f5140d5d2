/**
 * Executes planned faults on a mesh. A target that another fault is using is left alone, so that each fault ends itself.
 */

import type { ChaosMesh } from './chaos-mesh.js';
import {
  describeFault,
  type Fault,
  faultName,
  type LinkHarm,
  type PeerChoice,
  type PeerName,
  type PlannedFault,
  type ServerName,
  serverNames,
} from './chaos-plan.js';
import type { SupervisedProcess } from './supervised-process.js';
import { type Condition, open, type TcpProxy } from './tcp-proxy.js';

export interface FaultCount {
  done: number;
  /** Faults without a free target. */
  skipped: number;
}

/** A target of a fault. */
interface Target {
  readonly name: string;
  begin(): unknown;
  end(): unknown;
}

const slowDelayMs = 150;

export class Faults {
  readonly counts = new Map<string, FaultCount>();
  /** Errors of faults. */
  readonly errors: string[] = [];
  private readonly hit = new Map<string, Target>();
  private readonly timers = new Set<NodeJS.Timeout>();
  /** Faults that are starting or ending. */
  private readonly inFlight = new Set<Promise<unknown>>();

  constructor(
    private readonly mesh: ChaosMesh,
    private readonly leader: () => PeerName | undefined,
    private readonly note: (text: string) => void,
  ) {}

  /** What is broken now. */
  get broken(): string[] {
    return [...this.hit.keys()];
  }

  /** Ends all faults; resolves when all targets run again. */
  async end(): Promise<void> {
    for (const timer of this.timers) clearTimeout(timer);
    this.timers.clear();
    for (const target of [...this.hit.values()]) this.release(target);
    await Promise.all(this.inFlight);
    await this.mesh.startPeers();
  }

  /** Begins a fault, which ends by itself. */
  begin({ fault, lastsMs }: PlannedFault): void {
    const name = faultName(fault);
    const count = this.counts.get(name) ?? { done: 0, skipped: 0 };
    this.counts.set(name, count);
    const targets = this.targetsOf(fault).filter((target) => !this.hit.has(target.name));
    if (targets.length === 0) {
      count.skipped += 1;
      this.note(`skipped: ${describeFault(fault)}`);
      return;
    }
    count.done += 1;
    this.note(`${describeFault(fault)} for ${lastsMs} ms: ${targets.map((target) => target.name).join(', ')}`);
    for (const target of targets) {
      this.hit.set(target.name, target);
      this.await(target.begin());
    }
    this.after(lastsMs, () => {
      this.note(`over: ${describeFault(fault)}`);
      for (const target of targets) this.release(target);
    });
  }

  private release(target: Target): void {
    if (this.hit.get(target.name) !== target) return;
    this.hit.delete(target.name);
    this.await(target.end());
  }

  private targetsOf(fault: Fault): Target[] {
    switch (fault.at) {
      case 'actor': {
        const peer = this.chosen(fault.peer);
        if (peer === undefined) return [];
        const { peer: ofActor, processes } = this.mesh.peer(peer);
        const hosting = processes.filter(({ process }) => process === ofActor.process(fault.actor));
        return hosting.map((process) => ofProcess(process, fault.harm));
      }
      case 'peer': {
        const peer = this.chosen(fault.peer);
        if (peer === undefined) return [];
        return this.mesh.peer(peer).processes.map((process) => ofProcess(process, fault.harm));
      }
      case 'all_peers':
        return this.mesh.processes.map((process) => ofProcess(process, 'kill'));
      case 'server':
        return [this.ofServer(fault.server, fault.harm)];
      case 'all_servers':
        return serverNames.map((name) => this.ofServer(name, 'kill'));
      case 'link':
      case 'all_links':
      case 'actor_links':
        return this.linksOf(fault);
      case 'route':
        return this.routesOf(fault.server, [fault.other], fault.harm);
      case 'all_routes': {
        const server = fault.server === 'leader' ? this.serverOfLeader() : fault.server;
        const others = serverNames.filter((name) => name !== server);
        return server === undefined ? [] : this.routesOf(server, others, fault.harm);
      }
      case 'clients':
        return [this.ofLink(`clients ${fault.server}`, [this.mesh.proxy(`clients ${fault.server}`)], fault.harm)];
    }
  }

  private linksOf(fault: Extract<Fault, { at: 'link' | 'all_links' | 'actor_links' }>): Target[] {
    const name = this.chosen(fault.peer);
    if (name === undefined) return [];
    const { peer, processes } = this.mesh.peer(name);
    const hit = fault.at === 'actor_links' ? [peer.process(fault.actor)] : processes;
    const links = hit.flatMap((process) => this.mesh.serversOf(name).map((server) => `${process.name} ${server}`));
    const used = links.filter((link) => this.mesh.proxy(link).connections > 0);
    return (fault.at === 'link' ? used : links).map((link) => this.ofLink(link, [this.mesh.proxy(link)], fault.harm));
  }

  private serverOfLeader(): ServerName | undefined {
    const leader = this.leader();
    if (leader === undefined) return undefined;
    const node = this.mesh.peer(leader).peer.process('node').name;
    return this.mesh.serversOf(leader).find((server) => this.mesh.proxy(`${node} ${server}`).connections > 0);
  }

  private routesOf(server: string, others: readonly string[], harm: LinkHarm): Target[] {
    return others.map((other) => {
      const [one, two] = [server, other].sort();
      const proxies = [this.mesh.proxy(`${one} ${two}`), this.mesh.proxy(`${two} ${one}`)];
      return this.ofLink(`${one} ${two}`, proxies, harm);
    });
  }

  private ofLink(name: string, proxies: readonly TcpProxy[], harm: LinkHarm): Target {
    const condition: Condition = harm === 'slow' ? { how: harm, delayMs: slowDelayMs } : { how: harm };
    const set = (to: Condition) => () => {
      for (const proxy of proxies) proxy.set(to);
    };
    return { name: `link ${name}`, begin: set(condition), end: set(open) };
  }

  private ofServer(name: (typeof serverNames)[number], harm: 'kill' | 'pause'): Target {
    const server = this.mesh.server(name);
    if (harm === 'pause') {
      return { name, begin: () => server.signal('SIGSTOP'), end: () => server.signal('SIGCONT') };
    }
    return { name, begin: () => server.kill(), end: () => server.restart() };
  }

  private chosen(peer: PeerChoice): PeerName | undefined {
    return peer === 'leader' ? this.leader() : peer;
  }

  private after(ms: number, then: () => void): void {
    const timer = setTimeout(() => {
      this.timers.delete(timer);
      then();
    }, ms);
    this.timers.add(timer);
  }

  private await(work: unknown): void {
    if (!(work instanceof Promise)) return;
    this.inFlight.add(work);
    const done = () => this.inFlight.delete(work);
    work.then(done, (error) => {
      done();
      this.errors.push(String(error));
    });
  }
}

function ofProcess(process: SupervisedProcess, harm: 'kill' | 'pause'): Target {
  if (harm === 'pause') {
    return { name: process.name, begin: () => process.signal('SIGSTOP'), end: () => process.signal('SIGCONT') };
  }
  return { name: process.name, begin: () => process.kill(), end: () => process.start() };
}
