/**
 * The NATS servers of a run: a cluster of three, and the connections to them. It owns which servers are up, the routes
 * between them, and the connections; it does not know what is sent.
 *
 * As with NATS, a client that loses its server connects to another one after a while and stays there; a server that
 * goes down loses the messages in flight through it; servers forward only messages of their own clients, so there is no
 * way around a cut route.
 */
import type { Random } from './random.js';

export const serverNames = ['s1', 's2', 's3'] as const;
export type ServerName = (typeof serverNames)[number];

interface Server {
  readonly name: ServerName;
  isUp: boolean;
  /** How often it has gone down. */
  losses: number;
}

/** A process's connection to NATS. */
export class NatsConnection {
  /** Undefined: it is connecting. */
  server: Server | undefined;
  /** Called once it is connected. */
  readonly onConnected: (() => void)[] = [];
  isClosed = false;
  /** The highest sequence number, in sending order, of the received messages. */
  newestHeard = 0;

  constructor(readonly preferred: ServerName) {}
}

/** The server to which a message was sent, as it was then. */
export interface Passage {
  readonly server: Server;
  readonly losses: number;
}

/** Minimum and maximum milliseconds of connecting. */
const reconnectMs = { min: 50, max: 1500 };

export class VirtualNats {
  private readonly servers: readonly Server[] = serverNames.map((name) => ({ name, isUp: true, losses: 0 }));
  private readonly connections = new Set<NatsConnection>();
  private readonly cutRoutes = new Set<string>();

  constructor(
    private readonly random: Random,
    private readonly after: (ms: number, run: () => void) => void,
  ) {}

  connect(connection: NatsConnection): void {
    this.connections.add(connection);
    const preferred = this.server(connection.preferred);
    if (preferred.isUp) this.attach(connection, preferred);
    else this.reconnect(connection);
  }

  close(connection: NatsConnection): void {
    connection.isClosed = true;
    connection.server = undefined;
    connection.onConnected.length = 0;
    this.connections.delete(connection);
  }

  down(name: ServerName): void {
    const server = this.server(name);
    if (!server.isUp) return;
    server.isUp = false;
    server.losses += 1;
    for (const connection of this.connections) {
      if (connection.server !== server) continue;
      connection.server = undefined;
      this.reconnect(connection);
    }
  }

  up(name: ServerName): void {
    this.server(name).isUp = true;
  }

  isUp(name: ServerName): boolean {
    return this.server(name).isUp;
  }

  cutRoute(one: ServerName, other: ServerName): void {
    this.cutRoutes.add(routeName(one, other));
  }

  healRoutes(): void {
    this.cutRoutes.clear();
  }

  /** Returns the server of a process's message; undefined: it has none. */
  passage({ server }: NatsConnection): Passage | undefined {
    return server === undefined ? undefined : { server, losses: server.losses };
  }

  /** Whether a message sent through that server arrives at the process. */
  isOpen({ server, losses }: Passage, { server: target }: NatsConnection): boolean {
    if (target === undefined || server.losses !== losses) return false;
    return this.cutRoutes.size === 0 || !this.cutRoutes.has(routeName(server.name, target.name));
  }

  /** Whether messages of one connection reach the other. */
  isReached(from: NatsConnection, to: NatsConnection): boolean {
    const passage = this.passage(from);
    return passage !== undefined && this.isOpen(passage, to);
  }

  private attach(connection: NatsConnection, server: Server): void {
    connection.server = server;
    for (const run of connection.onConnected.splice(0)) run();
  }

  private reconnect(connection: NatsConnection): void {
    this.after(reconnectMs.min + this.random.next() * (reconnectMs.max - reconnectMs.min), () => {
      if (connection.isClosed || connection.server !== undefined) return;
      const up = this.servers.filter(({ isUp }) => isUp);
      if (up.length === 0) this.reconnect(connection);
      else this.attach(connection, this.random.pick(up));
    });
  }

  private server(name: ServerName): Server {
    const server = this.servers.find((one) => one.name === name);
    if (server === undefined) throw new Error(`there is no server ${name}`);
    return server;
  }
}

function routeName(one: ServerName, other: ServerName): string {
  return one < other ? `${one} ${other}` : `${other} ${one}`;
}

/** The server near a peer or client: n1 and n4 are at s1, n2 and n5 at s2, n3 at s3. */
export function preferredServer(name: string): ServerName {
  const number = Number(/\d+$/.exec(name)?.[0] ?? 1);
  return serverNames[(number - 1) % serverNames.length] as ServerName;
}
