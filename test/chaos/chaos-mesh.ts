/**
 * Peers and NATS servers of real processes, with a proxy in each connection: between the servers, between each process
 * of a peer and each server, and between the clients and each server.
 */
import { createWriteStream, mkdirSync, type WriteStream } from 'node:fs';
import path from 'node:path';
import type { Stops } from '../mesh/fault-mesh.js';
import { type NatsServer, startNatsCluster } from '../support/nats.js';
import { Peer, type Placement, placements } from '../support/peers.js';
import { type PeerName, peerNames, type ServerName, serverNames, type Wiring } from './chaos-plan.js';
import { type Death, SupervisedProcess } from './supervised-process.js';
import { TcpProxy } from './tcp-proxy.js';

export interface ChaosMeshOptions {
  readonly wiring: Wiring;
  readonly placement: Placement;
  /** Where the peers' data and logs are kept. */
  readonly folder: string;
}

export interface ChaosPeer {
  readonly peer: Peer;
  readonly processes: readonly SupervisedProcess[];
}

export class ChaosMesh {
  readonly peers = new Map<PeerName, ChaosPeer>();
  readonly servers = new Map<ServerName, NatsServer>();
  /** Processes that ended without being killed. */
  readonly deaths: Death[] = [];
  /** By `s1 s2` (from, to), `n1 node s1` and `clients s1`. */
  private readonly proxies = new Map<string, TcpProxy>();
  private readonly logs = new Map<string, WriteStream>();
  private logsAreOpen = true;

  private constructor(private readonly options: ChaosMeshOptions) {}

  /** Starts the servers and all peers, without a group. Resolves when all are ready. */
  static async start(options: ChaosMeshOptions, stops: Stops): Promise<ChaosMesh> {
    const mesh = new ChaosMesh(options);
    stops.add(() => mesh.closeWires());
    await mesh.startServers(stops);
    mkdirSync(path.join(options.folder, 'logs'), { recursive: true });
    stops.add(() => mesh.killPeers());
    for (const name of peerNames) mesh.peers.set(name, await mesh.makePeer(name));
    await mesh.startPeers();
    return mesh;
  }

  /** The servers without proxies: for observers. */
  get directUrls(): string[] {
    return [...this.servers.values()].map(({ url }) => url);
  }

  /** The servers as clients reach them. */
  get clientUrls(): string[] {
    return serverNames.map((server) => urlOf(this.proxy(`clients ${server}`)));
  }

  get processes(): SupervisedProcess[] {
    return [...this.peers.values()].flatMap(({ processes }) => processes);
  }

  peer(name: PeerName): ChaosPeer {
    const found = this.peers.get(name);
    if (found === undefined) throw new Error(`${name} has been started`);
    return found;
  }

  server(name: ServerName): NatsServer {
    const found = this.servers.get(name);
    if (found === undefined) throw new Error(`${name} has been started`);
    return found;
  }

  /** The proxy by its name: `n1 node s1`, `clients s1`, `s1 s2`. */
  proxy(name: string): TcpProxy {
    const found = this.proxies.get(name);
    if (found === undefined) throw new Error(`there is a proxy ${name}`);
    return found;
  }

  /** The servers that a peer knows. Each has one of its own: n1 s1, n2 s2, n3 s3, n4 s1, n5 s2. */
  serversOf(peer: PeerName): ServerName[] {
    const own = peerNames.indexOf(peer) % serverNames.length;
    const inOrder = [...serverNames.slice(own), ...serverNames.slice(0, own)];
    return this.options.wiring === 'own' ? inOrder.slice(0, 1) : inOrder;
  }

  /** Resolves when each process is ready. */
  async startPeers(): Promise<void> {
    await Promise.all(this.processes.map((each) => each.start()));
  }

  /** Stops all processes; each that does not exit with 0 is added to the deaths. */
  async stopPeers(): Promise<void> {
    await Promise.all(this.processes.map((each) => each.stop()));
  }

  private async killPeers(): Promise<void> {
    await Promise.all(this.processes.map((each) => each.kill()));
    // Output of a killed process may still arrive.
    this.logsAreOpen = false;
    await Promise.all([...this.logs.values()].map((log) => new Promise<void>((resolve) => log.end(() => resolve()))));
  }

  private async startServers(stops: Stops): Promise<void> {
    // Servers advertise an unused address to each other: otherwise they would connect past the proxies.
    const nowhere = await this.wire('nowhere', 1);
    nowhere.set({ how: 'cut' });
    const started = await startNatsCluster(serverNames.length, {
      nowhere: nowhere.port,
      port: async (from, to, port) => (await this.wire(`${serverNames[from]} ${serverNames[to]}`, port)).port,
    });
    for (const [at, server] of started.entries()) {
      const name = serverNames[at] as ServerName;
      stops.add(() => server.stop());
      this.servers.set(name, server);
      await this.wire(`clients ${name}`, server.port);
    }
  }

  private async makePeer(name: PeerName): Promise<ChaosPeer> {
    const { placement, folder } = this.options;
    const urls = new Map<string, string>();
    for (const actors of placements[placement]) {
      for (const [server, { port }] of this.servers) {
        const link = `${name} ${actors.join()} ${server}`;
        urls.set(link, urlOf(await this.wire(link, port)));
      }
    }
    const peer = new Peer({
      peer: name,
      nats: (actors) => this.serversOf(name).map((server) => urls.get(`${name} ${actors.join()} ${server}`) as string),
      placement,
      dataDir: path.join(folder, 'data', name),
      onLine: (process, line) => {
        if (this.logsAreOpen) this.logOf(process).write(`${line}\n`);
      },
    });
    const onDeath = (death: Death) => this.deaths.push(death);
    return { peer, processes: peer.processes.map((process) => new SupervisedProcess(process, onDeath)) };
  }

  private async wire(name: string, targetPort: number): Promise<TcpProxy> {
    const proxy = await TcpProxy.open(targetPort);
    this.proxies.set(name, proxy);
    return proxy;
  }

  private async closeWires(): Promise<void> {
    await Promise.all([...this.proxies.values()].map((proxy) => proxy.close()));
  }

  private logOf(process: string): WriteStream {
    let log = this.logs.get(process);
    if (log === undefined) {
      const file = `${process.replaceAll(/[ ,]+/g, '-')}.log`;
      log = createWriteStream(path.join(this.options.folder, 'logs', file), { flags: 'a' });
      this.logs.set(process, log);
    }
    return log;
  }
}

function urlOf({ port }: TcpProxy): string {
  return `nats://127.0.0.1:${port}`;
}
