/**
 * A TCP proxy for tests, which spoils what goes through it: cut, stalled (a black hole: nothing passes, nothing is
 * closed) or slow. What passes stays in order and whole, as TCP keeps it, until the connection is closed.
 */
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

export type Condition =
  | { readonly how: 'open' }
  /** Connections are closed, and new ones at once. */
  | { readonly how: 'cut' }
  /** Nothing passes, a connection's end neither; new connections are taken and stay silent. */
  | { readonly how: 'stall' }
  /** The delay of each piece, in milliseconds. */
  | { readonly how: 'slow'; readonly delayMs: number };

export const open: Condition = { how: 'open' };

/** A flow reads on while no more than this waits in it. */
const waitingBytes = 1024 * 1024;

/** Of the pieces of one direction of a connection; `undefined` is its end. */
class Flow {
  private readonly waiting: { readonly piece: Buffer | undefined; readonly dueMs: number }[] = [];
  private bytes = 0;
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly source: Socket,
    private readonly sink: Socket,
    private readonly condition: () => Condition,
    /** The end of the flow has come out of it. */
    private readonly onEnd: () => void,
  ) {
    source.on('data', (piece) => this.take(piece as Buffer));
    source.on('close', () => this.take(undefined));
    sink.on('drain', () => this.pump());
  }

  /** The condition has changed. */
  changed(): void {
    const condition = this.condition();
    if (condition.how === 'open') for (const each of this.waiting) Object.assign(each, { dueMs: 0 });
    this.pump();
  }

  stop(): void {
    clearTimeout(this.timer);
    this.waiting.length = 0;
  }

  private take(piece: Buffer | undefined): void {
    const condition = this.condition();
    const dueMs = condition.how === 'slow' ? performance.now() + condition.delayMs : 0;
    this.waiting.push({ piece, dueMs });
    this.bytes += piece?.length ?? 0;
    this.pump();
  }

  private pump(): void {
    clearTimeout(this.timer);
    const stalled = this.condition().how === 'stall';
    while (!stalled && !this.sink.writableNeedDrain) {
      const [next] = this.waiting;
      if (next === undefined) break;
      const leftMs = next.dueMs - performance.now();
      if (leftMs > 0) {
        this.timer = setTimeout(() => this.pump(), leftMs);
        break;
      }
      this.waiting.shift();
      if (next.piece === undefined) return this.onEnd();
      this.bytes -= next.piece.length;
      this.sink.write(next.piece);
    }
    if (stalled || this.bytes > waitingBytes || this.sink.writableNeedDrain) this.source.pause();
    else this.source.resume();
  }
}

interface Pair {
  readonly near: Socket;
  readonly far: Socket;
  readonly flows: readonly Flow[];
}

export class TcpProxy {
  private readonly pairs = new Set<Pair>();
  private condition: Condition = open;

  private constructor(
    private readonly server: Server,
    private readonly targetPort: number,
  ) {
    server.on('connection', (socket) => this.onConnection(socket));
  }

  /** Listens on a free port of 127.0.0.1, for a server on another one, which need not be there yet. */
  static async open(targetPort: number): Promise<TcpProxy> {
    const server = createServer({ noDelay: true });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(0, '127.0.0.1', resolve);
    });
    return new TcpProxy(server, targetPort);
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  /** How many connections it has. */
  get connections(): number {
    return this.pairs.size;
  }

  /** Sets the condition of all connections from now on. */
  set(condition: Condition): void {
    this.condition = condition;
    if (condition.how === 'cut') for (const pair of this.pairs) this.end(pair);
    for (const { flows } of this.pairs) for (const flow of flows) flow.changed();
  }

  async close(): Promise<void> {
    this.set({ how: 'cut' });
    await new Promise((resolve) => this.server.close(resolve));
  }

  private onConnection(near: Socket): void {
    if (this.condition.how === 'cut') {
      near.destroy();
      return;
    }
    const far = connect({ port: this.targetPort, host: '127.0.0.1', noDelay: true });
    // What is wrong with a socket is followed by its close.
    for (const socket of [near, far]) socket.on('error', () => undefined);
    const condition = () => this.condition;
    const onEnd = () => this.end(pair);
    const flows = [new Flow(near, far, condition, onEnd), new Flow(far, near, condition, onEnd)];
    const pair: Pair = { near, far, flows };
    this.pairs.add(pair);
    for (const flow of flows) flow.changed();
  }

  private end(pair: Pair): void {
    this.pairs.delete(pair);
    for (const flow of pair.flows) flow.stop();
    pair.near.destroy();
    pair.far.destroy();
  }
}
