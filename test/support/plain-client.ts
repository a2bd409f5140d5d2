/** A plain NATS client with JSON, without code of Conclave. */
import { type ConnectionOptions, connect, type NatsConnection } from 'nats';

export interface Reply {
  readonly body: Record<string, unknown>;
  /** From the service headers; 0: no error. */
  readonly errorCode: number;
}

/** An event as it is published. */
export interface ObservedEvent {
  readonly name: string;
  readonly body: Record<string, unknown>;
}

export class PlainClient {
  readonly events: ObservedEvent[] = [];
  private waiting: { matches: (event: ObservedEvent) => boolean; resolve: (event: ObservedEvent) => void }[] = [];

  private constructor(
    readonly nats: NatsConnection,
    readonly group: string,
  ) {}

  /** Connects, and receives the group's events from now on. */
  static async open(servers: readonly string[], group = 'main', login: ConnectionOptions = {}): Promise<PlainClient> {
    const nats = await connect({
      ...login,
      servers: [...servers],
      maxReconnectAttempts: -1,
      reconnectTimeWait: 100,
      waitOnFirstConnect: true,
    });
    const client = new PlainClient(nats, group);
    nats.subscribe(`conclave.${group}.event.>`, {
      callback: (error, message) => {
        if (error !== null) return;
        try {
          client.onEvent(message.subject.split('.')[3] ?? '', message.json());
        } catch {
          // A message without JSON is no event.
        }
      },
    });
    await nats.flush();
    return client;
  }

  /** Sends a request on `conclave.<group>.<rest>`. @throws without responders */
  async ask(rest: string, body: unknown = {}, timeoutMs = 10_000): Promise<Reply> {
    const reply = await this.nats.request(`conclave.${this.group}.${rest}`, JSON.stringify(body), {
      timeout: timeoutMs,
    });
    return { body: reply.json(), errorCode: Number(reply.headers?.get('Nats-Service-Error-Code') ?? 0) };
  }

  /**
   * Retries until there is a reply without an error; a leader may still have to be elected.
   * @throws Error with the last failure when it takes too long
   */
  async insist(rest: string, body: unknown = {}, withinMs = 30_000): Promise<Record<string, unknown>> {
    const until = performance.now() + withinMs;
    for (;;) {
      let last: string;
      try {
        const { body: reply, errorCode } = await this.ask(rest, body);
        if (errorCode === 0) return reply;
        last = JSON.stringify(reply);
      } catch (error) {
        last = String(error);
      }
      if (performance.now() > until) throw new Error(`${rest} was not answered in time; last: ${last}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** The first event of this name, past or to come, of which this holds. */
  event(name: string, holds: (body: Record<string, unknown>) => boolean = () => true): Promise<ObservedEvent> {
    const matches = (event: ObservedEvent) => event.name === name && holds(event.body);
    const found = this.events.find(matches);
    if (found !== undefined) return Promise.resolve(found);
    return new Promise((resolve) => this.waiting.push({ matches, resolve }));
  }

  async close(): Promise<void> {
    await this.nats.close();
  }

  private onEvent(name: string, body: Record<string, unknown>): void {
    const event = { name, body };
    this.events.push(event);
    for (const { resolve } of this.waiting.filter(({ matches }) => matches(event))) resolve(event);
    this.waiting = this.waiting.filter(({ matches }) => !matches(event));
  }
}
