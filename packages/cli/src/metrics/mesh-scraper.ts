/**
 * Asks all actors of a mesh for their metrics over NATS.
 *
 * Owns: the peers of each group that it knows: those whose nodes answer service discovery, and the members that nodes report. A
 * member that does not answer is reported as down; any other peer that does not answer is forgotten. While no node of a group
 * answers, its members are unknown: then a peer is forgotten only if it reports that it does not host the group any more.
 */
import {
  type ActorKind,
  actorKinds,
  decode,
  discoverySubject,
  encode,
  type GroupId,
  isForeignReply,
  ListGroupsReply,
  MetricsReply,
  NodeServiceInfo,
  PeerId,
  type Subjects,
  sampleOf,
} from '@conclave/protocol';
import { violationOf } from '@conclave/protocol/login';
import type { NatsConnection } from 'nats';
import type { z } from 'zod';
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
type Scraped = MetricsReply | 'silent' | 'forbidden';

type ScrapedActors = Map<string, { readonly place: ActorPlace; readonly answer: Scraped }>;

/** Requests at the same time. */
const requestsAtOnce = 64;
/** Discovery ends when no further node has answered for this long. */
const stallMs = 300;
/** How long a peer is not asked again after NATS refused a request: the server logs each refusal, and permissions rarely change. */
const forbiddenMs = 60_000;

export class MeshScraper {
  private known = new Map<string, Place>();
  private running: Promise<LabelledSample[]> | undefined;
  /** By the keys of places: when they are asked again. */
  private readonly forbiddenUntilMs = new Map<string, number>();

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
    // Also those of groups that no longer exist.
    for (const [key, untilMs] of this.forbiddenUntilMs) if (untilMs <= beganMs) this.forbiddenUntilMs.delete(key);
    for (const place of await this.discover()) this.known.set(keyOf(place), place);
    const answers: ScrapedActors = new Map();
    await this.askAll([...this.known.values()], answers);
    const members = new Map(membersIn(answers).map((place) => [keyOf(place), place]));
    const unasked = [...members].filter(([key]) => !this.known.has(key)).map(([, place]) => place);
    await this.askAll(unasked, answers);
    this.known = new Map([...(await this.hostsIn(answers)), ...members]);
    const seconds = (performance.now() - beganMs) / 1000;
    return [...this.samplesOf(answers), own(sampleOf('conclave_exporter_seconds', seconds, {}))];
  }

  /** The peers that replied; and of the groups of which no node did, those that may still host them. */
  private async hostsIn(answers: ScrapedActors): Promise<[string, Place][]> {
    const all = [...answers.values()];
    const replied = all.filter(({ answer }) => typeof answer === 'object').map(({ place }) => place);
    const answering = new Set(replied.filter(({ actor }) => actor === nodeKind).map(({ groupId }) => groupId));
    const hosts = new Map(replied.map((place) => [keyOf(place), place as Place]));
    const silent = new Map(
      all
        .filter(({ place }) => !hosts.has(keyOf(place)) && !answering.has(place.groupId))
        .map(({ place }) => [keyOf(place), place as Place]),
    );
    const peers = [...new Set([...silent.values()].map(({ peerId }) => peerId))];
    const lists = new Map(await Promise.all(peers.map(async (peer) => [peer, await this.groupsOf(peer)] as const)));
    const kept = [...silent].filter(([, { groupId, peerId }]) => lists.get(peerId)?.includes(groupId) !== false);
    return [...hosts, ...kept];
  }

  /** Returns the groups that a peer hosts; undefined: it does not answer. */
  private async groupsOf(peerId: PeerId): Promise<GroupId[] | undefined> {
    const reply = await this.firstReply(this.subjects.host(peerId, 'list_groups'), ListGroupsReply);
    return typeof reply === 'string' ? undefined : reply.groups.map(({ group_id }) => group_id);
  }

  private samplesOf(answers: ScrapedActors): LabelledSample[] {
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

  private async askAll(places: readonly Place[], answers: ScrapedActors): Promise<void> {
    const waiting = places.flatMap((place) => actorKinds.map((actor): ActorPlace => ({ ...place, actor })));
    const workers = Array.from({ length: Math.min(requestsAtOnce, waiting.length) }, async () => {
      for (let place = waiting.shift(); place !== undefined; place = waiting.shift()) {
        answers.set(`${keyOf(place)}.${place.actor}`, { place, answer: await this.ask(place) });
      }
    });
    await Promise.all(workers);
  }

  private async ask({ groupId, peerId, actor }: ActorPlace): Promise<Scraped> {
    const key = keyOf({ groupId, peerId });
    if (this.forbiddenUntilMs.has(key)) return 'forbidden';
    const subject = this.subjects.metrics({ groupId, peerId, recipient: actor });
    const reply = await this.firstReply(subject, MetricsReply);
    if (reply === 'forbidden') this.forbiddenUntilMs.set(key, performance.now() + forbiddenMs);
    if (typeof reply === 'string') return reply;
    const isFromThisActor = reply.group_id === groupId && reply.peer_id === peerId && reply.actor === actor;
    return isFromThisActor ? reply : 'silent';
  }

  /** Returns the first reply that fits the schema; replies of other programs do not count. */
  private async firstReply<T>(subject: string, schema: z.ZodType<T>): Promise<T | 'silent' | 'forbidden'> {
    const options = { strategy: 'timer', maxWait: this.options.timeoutMs } as const;
    try {
      for await (const { data } of await this.connection.requestMany(subject, encode({}), options)) {
        const reply = isForeignReply(data) ? undefined : schema.safeParse(decodedOf(data));
        if (reply?.success === true) return reply.data;
      }
    } catch (error) {
      if (violationOf(error) !== undefined) return 'forbidden';
    }
    return 'silent';
  }
}

/** The members that the nodes report, each of its own group. */
function membersIn(answers: ScrapedActors): Place[] {
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

/** Undefined: it cannot be decoded. */
function decodedOf(data: Uint8Array): unknown {
  try {
    return decode(data);
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
