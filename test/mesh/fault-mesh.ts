/** A running mesh for tests of faults: peers by name, a plain client, and what these tests wait for. */
import type { StatusReply } from '@conclave/protocol';
import type { ConnectionOptions } from 'nats';
import type { NatsServer } from '../support/nats.js';
import { type ActorKind, ActorProcess, actorKinds, Peer, type Placement } from '../support/peers.js';
import { PlainClient } from '../support/plain-client.js';

export interface MeshOptions {
  readonly servers: readonly NatsServer[];
  readonly peers: readonly string[];
  readonly placement: Placement | ((peer: string) => Placement);
  readonly groups?: readonly string[];
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** More of a peer's environment at its next start. */
  readonly envOf?: (peer: string) => Readonly<Record<string, string>>;
  /** Where each peer keeps its data, over all of its runs; none: a folder of its own. */
  readonly dataDir?: (peer: string) => string;
  /** The command of another build that a peer runs at its next start; undefined: this one's. */
  readonly command?: (peer: string) => string | undefined;
  /** How the test itself logs in. */
  readonly login?: ConnectionOptions;
}

/** The stopper of what a test file has begun: run in the opposite order, each whatever becomes of the others. */
export class Stops {
  private stops: (() => Promise<unknown>)[] = [];

  add(stop: () => Promise<unknown>): void {
    this.stops.unshift(stop);
  }

  async run(): Promise<void> {
    const { stops } = this;
    this.stops = [];
    const errors: unknown[] = [];
    for (const stop of stops) await stop().catch((error) => errors.push(error));
    if (errors.length > 0) throw errors[0];
  }
}

/**
 * Waits until `look` answers something, and answers that. What it throws counts as not yet.
 * @param more further texts that the error contains
 * @throws Error with the last failure when it takes too long
 */
export async function until<T>(
  what: string,
  look: () => Promise<T | undefined>,
  withinMs = 60_000,
  more = (): string => '',
): Promise<T> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    let failure: unknown;
    try {
      const found = await look();
      if (found !== undefined) return found;
    } catch (error) {
      failure = error;
    }
    if (performance.now() > deadline) {
      const last = failure instanceof Error ? `; last: ${failure.message.slice(0, 2000)}` : '';
      throw new Error(`not within ${withinMs} ms: ${what}${last}${more()}`, { cause: failure });
    }
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

export class Mesh {
  readonly peers = new Map<string, Peer>();
  private readonly more: ActorProcess[] = [];

  private constructor(
    private readonly options: MeshOptions,
    readonly plain: PlainClient,
  ) {}

  /** Connects; starts nothing yet. */
  static async open(options: MeshOptions): Promise<Mesh> {
    const plain = await PlainClient.open(
      options.servers.map(({ url }) => url),
      options.groups?.[0],
      options.login,
    );
    return new Mesh(options, plain);
  }

  /** Starts its peers and founds the first group of them. */
  static async found(options: MeshOptions, stops: Stops): Promise<Mesh> {
    const mesh = await Mesh.open(options);
    stops.add(() => mesh.stop());
    await mesh.start(...options.peers);
    const [first] = options.peers;
    await mesh.plain.insist(`${first}.admin.bootstrap`, { peers: options.peers });
    return mesh;
  }

  /** The peer of this name; it is made when it is first asked for, with a folder of its own unless one is given. */
  peer(name: string, dataDir?: string): Peer {
    const { placement, groups, args, env, envOf, command, dataDir: folderOf } = this.options;
    const folder = dataDir ?? folderOf?.(name);
    const known = this.peers.get(name);
    if (known !== undefined) return known;
    const peer = new Peer({
      peer: name,
      nats: this.serversOf(name),
      placement: typeof placement === 'string' ? placement : placement(name),
      ...(groups === undefined ? {} : { groups }),
      ...(args === undefined ? {} : { args }),
      ...(env === undefined ? {} : { env }),
      ...(envOf === undefined ? {} : { envAtStart: () => envOf(name) }),
      ...(folder === undefined ? {} : { dataDir: folder }),
      ...(command === undefined ? {} : { command: () => command(name) }),
    });
    this.peers.set(name, peer);
    return peer;
  }

  /** Each peer prefers a server of its own: n1 the first, n2 the second... */
  serversOf(name: string): string[] {
    const { servers } = this.options;
    const own = (Number(name.slice(1)) - 1) % servers.length;
    return [...servers.slice(own), ...servers.slice(0, own)].map(({ url }) => url);
  }

  /** One more process for an actor of a peer; not started. */
  another(name: string, actor: ActorKind, ...more: readonly string[]): ActorProcess {
    const args = ['--peer', name, '--nats', this.serversOf(name).join(), '--actors', actor, ...more];
    const another = new ActorProcess(`${name} another ${actor}`, args, {});
    this.more.push(another);
    return another;
  }

  async start(...names: readonly string[]): Promise<void> {
    await Promise.all(names.map((name) => this.peer(name).start()));
  }

  /** `kill -9` of all of them at once. */
  async kill(...names: readonly string[]): Promise<void> {
    await Promise.all(names.map((name) => this.peer(name).kill()));
  }

  async stop(): Promise<void> {
    await this.plain.close();
    await Promise.all([...this.peers.values(), ...this.more].map((each) => each.kill()));
    await Promise.all([...this.peers.values()].map((peer) => peer.stop()));
  }

  /** Returns the leader's status; waits for a leader. */
  async leaderStatus(): Promise<StatusReply> {
    return (await this.plain.insist('admin.status', {}, 60_000)) as unknown as StatusReply;
  }

  async status(peer: string): Promise<StatusReply> {
    return (await this.plain.insist(`${peer}.admin.status`)) as unknown as StatusReply;
  }

  async statusOnce(peer: string): Promise<StatusReply> {
    const { body, errorCode } = await this.plain.ask(`${peer}.admin.status`, {}, 1000);
    if (errorCode !== 0) throw new Error(JSON.stringify(body));
    return body as unknown as StatusReply;
  }

  /** A leader of a term above this one, other than `than`. */
  leaderAfter(term: number, than?: string): Promise<StatusReply> {
    return until(`a leader above term ${term}${than === undefined ? '' : ` other than ${than}`}`, async () => {
      const { body, errorCode } = await this.plain.ask('admin.status', {}, 1000);
      const status = body as unknown as StatusReply;
      return errorCode === 0 && status.term > term && status.peer_id !== than ? status : undefined;
    });
  }

  /** Waits until the group binds this peer's name to the store that it has now, and no change is in progress. */
  async replaced(peer: string): Promise<StatusReply> {
    return until(`${peer} is bound to the store that it has`, async () => {
      const { store_id } = await this.statusOnce(peer);
      const leader = await this.leaderStatus();
      const bound = leader.configuration?.peers.find(({ peer_id }) => peer_id === peer)?.store_id;
      return leader.stage === 'none' && bound === store_id ? leader : undefined;
    });
  }

  /** Waits until each actor of these peers reports that it is healthy. */
  async healthy(...names: readonly string[]): Promise<void> {
    for (const name of names) {
      for (const actor of actorKinds) {
        const isWell = async (): Promise<true> => {
          const { body } = await this.plain.ask(`${name}.${actor}.health`, {}, 1000);
          if (body.healthy !== true) throw new Error(JSON.stringify(body));
          return true;
        };
        await until(
          `the ${actor} of ${name} is well`,
          isWell,
          undefined,
          () => `\n${this.peer(name).log().slice(-40000)}`,
        );
      }
    }
  }

  /** Waits until these peers have applied all that is committed now. */
  async caughtUp(...names: readonly string[]): Promise<void> {
    // What is read has been confirmed: a leader that is new does not know yet what is committed.
    await this.plain.insist('kv.get', { key: 'any' });
    const { commit_index } = await this.leaderStatus();
    for (const name of names) {
      await until(`${name} has applied ${commit_index}`, async () => {
        const { applied_index } = await this.statusOnce(name);
        return applied_index >= commit_index ? true : undefined;
      });
    }
  }

  /** Which of these writes a peer does not have, once it has applied all that is committed. */
  async missing(peer: string, writes: ReadonlyMap<string, string>): Promise<string[]> {
    // Only the present ones: writes that are acknowledged after the leader's status may reach the peer later.
    const left = [...writes.keys()];
    await this.caughtUp(peer);
    const missing: string[] = [];
    while (left.length > 0) {
      const keys = left.slice(0, 500);
      const { found } = await this.plain.insist(`${peer}.kv.batch_get`, { keys, consistency: 'stale' });
      const values = found as [string | null, number][];
      if (values.length === 0) throw new Error('an empty answer to batch_get');
      for (const [at, [value]] of values.entries()) {
        const key = keys[at] as string;
        if (value !== writes.get(key)) missing.push(key);
      }
      left.splice(0, values.length);
    }
    return missing;
  }
}
