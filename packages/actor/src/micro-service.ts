/**
 * A NATS micro service (ADR-32), which the `nats` tool and others can find: replies to `$SRV.PING`, `$SRV.INFO` and
 * `$SRV.STATS`, also with `.<name>` and `.<name>.<id>`. (`@nats-io/services` pins an older core of the client.)
 */
import { encodeJson, type Subjects, serviceName, serviceSubjects, serviceVerbs } from '@conclave/protocol';
import type { Msg } from 'nats';
import type { Connection } from './nats-connection.js';
import { oncePerTurn } from './once-per-turn.js';
import type { EndpointCounts } from './requests.js';
import { serveRequests } from './serve.js';
import type { Subscription } from './transport.js';

export interface MicroServiceOptions {
  /** The id of this instance; one token. */
  readonly id: string;
  /** A semantic version. */
  readonly version: string;
  readonly description: string;
  readonly metadata: Readonly<Record<string, string>>;
}

export interface Endpoint {
  readonly name: string;
  readonly subject: string;
  readonly counts: EndpointCounts;
}

type Verb = (typeof serviceVerbs)[number];

export class MicroService {
  private readonly listenings: Subscription[] = [];
  private readonly started = new Date().toISOString();
  private readonly encoded = oncePerTurn((verb: Verb) => encodeJson(this.response(verb)));

  /**
   * @param endpoints those that are currently served
   * @param data what `STATS` contains besides the counts
   */
  constructor(
    private readonly connection: Connection,
    private readonly subjects: Subjects,
    private readonly options: MicroServiceOptions,
    private readonly endpoints: () => readonly Endpoint[],
    private readonly data: () => unknown,
  ) {}

  start(): void {
    const { id } = this.options;
    for (const verb of serviceVerbs) {
      for (const subject of serviceSubjects(verb, id)) {
        const subscription = serveRequests(this.connection, this.subjects, subject, (request) =>
          this.reply(verb, request),
        );
        this.listenings.push({ close: () => subscription.unsubscribe() });
      }
    }
  }

  close(): void {
    if (this.connection.nats.isClosed()) return;
    for (const listening of this.listenings) listening.close();
  }

  private reply(verb: Verb, request: Msg): void {
    if (!request.reply) return;
    this.connection.publish(request.reply, this.encoded(verb));
  }

  private response(verb: Verb): unknown {
    const { id, version, description, metadata } = this.options;
    const identity = {
      type: `io.nats.micro.v1.${verb.toLowerCase()}_response`,
      name: serviceName,
      id,
      version,
      metadata,
    };
    switch (verb) {
      case 'PING':
        return identity;
      case 'INFO':
        return {
          ...identity,
          description,
          endpoints: this.endpoints().map((endpoint) => ({ ...described(endpoint), metadata })),
        };
      case 'STATS':
        return {
          ...identity,
          started: this.started,
          endpoints: this.endpoints().map((endpoint) => ({
            ...described(endpoint),
            ...counted(endpoint.counts),
            data: this.data(),
          })),
        };
    }
  }
}

/** No queue group: only the leader, or the named peer, may reply to a request. */
function described({ name, subject }: Endpoint): object {
  return { name, subject, queue_group: '' };
}

function counted({ requests, errors, lastError, processingNs }: EndpointCounts): object {
  return {
    num_requests: requests,
    num_errors: errors,
    last_error: lastError,
    processing_time: processingNs,
    average_processing_time: requests === 0 ? 0 : Math.round(processingNs / requests),
  };
}
