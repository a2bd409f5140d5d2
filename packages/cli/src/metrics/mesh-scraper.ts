/**
 * Asks all actors of a mesh for their metrics over NATS.
 *
 * Owns: the peers of each group that it knows: those whose nodes answer service discovery, and the members that nodes report. A
 * member that does not answer is reported as down; any other peer that does not answer is forgotten.
 */
import {
  type ActorKind,
  actorKinds,
  decode,
  discoverySubject,
  encode,
  type GroupId,
  isForeignReply,
  MetricsReply,
  NodeServiceInfo,
  PeerId,
  type Subjects,
  sampleOf,
} from '@conclave/protocol';
import { violationOf } from '@conclave/protocol/login';
import type { NatsConnection } from 'nats';
import { type ActorPlace, type LabelledSample, ofActor, ofProcess } from './labelled.js';

export interface ScraperOptions {
  /** How long to wait for the reply of an actor. */
  readonly timeoutMs: number;
}

/** A peer that hosts a group. */
interface Place {
  readonly groupId: GroupId;
  readonly peerId: PeerId;
}

/** A reply; `silent`: there is none; `forbidden`: NATS does not permit the request. */
type Answer = MetricsReply | 'silent' | 'forbidden';

type Answers = Map<string, { readonly place: ActorPlace; readonly answer: Answer }>;

/** Requests at the same time. */
const requestsAtOnce = 64;
/** Discovery ends when no further node has answered for this long. */
const stallMs = 300;

export class MeshScraper {
  private known = new Map<string, Place>();
  private running: Promise<LabelledSample[]> | undefined;

  constructor(
    private readonly connection: NatsConnection,
    private readonly subjects: Subjects,
    private readonly options: ScraperOptions,
  ) {}

  /** Returns the metrics of all actors that answer. Calls at the same time share one round of requests. */
  scrape(): Promise<LabelledSample[]> {
    this.running ??= this.scrapeOnce().finally(() => {
      this.running = undefined;
    });
    return this.running;
  }

  private async scrapeOnce(): Promise<LabelledSample[]> {
    const beganMs = performance.now();
    for (const place of await this.discover()) this.known.set(keyOf(place), place);
    const answers: Answers = new Map();
    await this.askAll([...this.known.values()], answers);
    const members = new Map(membersIn(answers).map((place) => [keyOf(place), place]));
    const unasked = [...members].filter(([key]) => !this.known.has(key)).map(([, place]) => place);
    await this.askAll(unasked, answers);
    const replied = [...answers.values()].filter(({ answer }) => typeof answer === 'object');
    const hosts = replied.map(({ place }): [string, Place] => [keyOf(place), place]);
    // Without any reply, nothing is known of the members: the peers of the round before are still reported.
    if (replied.length > 0) this.known = new Map([...hosts, ...members]);
    const seconds = (performance.now() - beganMs) / 1000;
    return [...this.samplesOf(answers), own(sampleOf('conclave_exporter_seconds', seconds, {}))];
  }

  private samplesOf(answers: Answers): LabelledSample[] {
    const processes = new Set<string>();
    return [...answers.values()].flatMap(({ place, answer }) => {
      const { groupId: group, peerId: peer, actor } = place;
      if (answer === 'forbidden' || !this.known.has(keyOf(place))) return [];
      const up = own(sampleOf('conclave_up', answer === 'silent' ? 0 : 1, { group, peer, actor }));
      if (answer === 'silent') return [up];
      const { process, samples } = answer;
      const isFirst = process !== undefined && !processes.has(process.id);
      if (isFirst) processes.add(process.id);
      return [up, ...ofActor(place, samples), ...(isFirst ? ofProcess(peer, process) : [])];
    });
  }

  /** Returns the peers whose nodes answer, of this prefix. */
  private async discover(): Promise<Place[]> {
    const found: Place[] = [];
    const maxWait = this.options.timeoutMs;
    const options = { strategy: 'stall', maxWait, stall: Math.min(stallMs, maxWait) } as const;
    try {
      for await (const { data } of await this.connection.requestMany(discoverySubject, '', options)) {
        const info = NodeServiceInfo.safeParse(jsonOf(data));
        if (!info.success) continue;
        const { group_id: groupId, peer_id: peerId } = info.data.metadata;
        const own = this.subjects.peerRequest(groupId, peerId, 'admin', '*');
        if (info.data.endpoints.some(({ subject }) => subject === own)) found.push({ groupId, peerId });
      }
    } catch {
      // No node answers, or there is no connection: the peers that are known are asked.
    }
    return found;
  }

  private async askAll(places: readonly Place[], answers: Answers): Promise<void> {
    const waiting = places.flatMap((place) => actorKinds.map((actor): ActorPlace => ({ ...place, actor })));
    const workers = Array.from({ length: Math.min(requestsAtOnce, waiting.length) }, async () => {
      for (let place = waiting.shift(); place !== undefined; place = waiting.shift()) {
        answers.set(`${keyOf(place)}.${place.actor}`, { place, answer: await this.ask(place) });
      }
    });
    await Promise.all(workers);
  }

  private async ask({ groupId, peerId, actor }: ActorPlace): Promise<Answer> {
    const subject = this.subjects.metrics({ groupId, peerId, recipient: actor });
    const options = { strategy: 'timer', maxWait: this.options.timeoutMs } as const;
    try {
      for await (const { data } of await this.connection.requestMany(subject, encode({}), options)) {
        const reply = isForeignReply(data) ? undefined : parseReply(data);
        const isMeant = reply?.group_id === groupId && reply.peer_id === peerId && reply.actor === actor;
        if (reply !== undefined && isMeant) return reply;
      }
    } catch (error) {
      if (violationOf(error) !== undefined) return 'forbidden';
    }
    return 'silent';
  }
}

/** The members that the nodes report, each of its own group. */
function membersIn(answers: Answers): Place[] {
  return [...answers.values()].flatMap(({ place, answer }) => {
    if (typeof answer === 'string' || place.actor !== nodeKind) return [];
    return answer.samples.flatMap(({ name, labels }) => {
      const peer = PeerId.safeParse(labels.member);
      const isMember = name === 'conclave_node_member' && peer.success;
      return isMember ? [{ groupId: place.groupId, peerId: peer.data }] : [];
    });
  });
}

const nodeKind: ActorKind = 'node';

function keyOf({ groupId, peerId }: Place): string {
  return `${groupId}.${peerId}`;
}

function own(sample: ReturnType<typeof sampleOf>): LabelledSample {
  return sample as LabelledSample;
}

function parseReply(data: Uint8Array): MetricsReply | undefined {
  try {
    return MetricsReply.safeParse(decode(data)).data;
  } catch {
    return undefined;
  }
}

function jsonOf(data: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(data).toString());
  } catch {
    return undefined;
  }
}
