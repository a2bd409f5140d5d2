/**
 * Sends requests to a group, or to one of its peers, over NATS, and parses each reply by its schema.
 * It does not retry: the command decides whether a request may be repeated.
 */
import { hostname, userInfo } from 'node:os';
import {
  type ActorKind,
  type AdminCommand,
  type AdminReply,
  type AdminRequest,
  type Api,
  adminCommands,
  ConclaveError,
  callerHeader,
  decode,
  discoverySubject,
  ErrorReply,
  encode,
  formatIssues,
  type GroupId,
  HealthReply,
  type HostCommand,
  type HostReply,
  type HostRequest,
  hostCommands,
  isForeignReply,
  type KvOperation,
  type KvReply,
  type KvRequest,
  kvOperations,
  PeerId,
  type ProcessCommand,
  type ProcessReply,
  type ProcessRequest,
  processCommands,
  readCommands,
  readOperations,
  type SchemaIssue,
  Subjects,
} from '@conclave/protocol';
import { violationOf } from '@conclave/protocol/login';
import { headers, type Msg, type MsgHdrs, type NatsConnection, NoRespondersError, RequestError } from 'nats';
import { trackChange } from './interruption.js';

/** The part of a zod schema that is used here. */
interface Schema<T> {
  safeParse(value: unknown): { success: true; data: T } | { success: false; error: { issues: readonly SchemaIssue[] } };
}

export class AdminClient {
  readonly subjects: Subjects;

  constructor(
    readonly connection: NatsConnection,
    readonly groupId: GroupId,
    prefix: string,
  ) {
    this.subjects = new Subjects(prefix);
  }

  /**
   * Sends an admin command to the leader, or to the peer that is named.
   * @throws ConclaveError the error of the reply; EUNREACHABLE (not done) if nobody subscribes; ETIMEDOUT (unknown)
   */
  async admin<C extends AdminCommand>(
    command: C,
    request: AdminRequest<C>,
    where: { readonly peerId?: PeerId; readonly timeoutMs: number },
  ): Promise<AdminReply<C>> {
    const subject = this.subjectOf('admin', command, where.peerId);
    const reads = readCommands.includes(command);
    return this.ask(subject, request, adminCommands[command].reply as Schema<AdminReply<C>>, { ...where, reads });
  }

  /** Requests the health of a peer's node. A fenced node answers this request and no other. */
  async health(where: { readonly peerId: PeerId; readonly timeoutMs: number }): Promise<HealthReply> {
    const address = { groupId: this.groupId, peerId: where.peerId, recipient: 'node' } as const;
    return this.ask(this.subjects.health(address), {}, HealthReply, { ...where, reads: true });
  }

  /** Sends a command to the process of a peer's log-stores. */
  async host<C extends HostCommand>(
    command: C,
    request: HostRequest<C>,
    where: { readonly peerId: PeerId; readonly timeoutMs: number },
  ): Promise<HostReply<C>> {
    const subject = this.subjects.host(where.peerId, command);
    const reads = command === 'list_groups';
    return this.ask(subject, request, hostCommands[command].reply as Schema<HostReply<C>>, { ...where, reads });
  }

  /** Sends a command to the process that hosts an actor of a peer. */
  async process<C extends ProcessCommand>(
    command: C,
    request: ProcessRequest<C>,
    where: { readonly peerId: PeerId; readonly actor: ActorKind; readonly timeoutMs: number },
  ): Promise<ProcessReply<C>> {
    const subject = this.subjects.process(where.peerId, where.actor, command);
    return this.ask(subject, request, processCommands[command].reply as unknown as Schema<ProcessReply<C>>, {
      ...where,
      reads: false,
    });
  }

  /** Returns clients of the founded groups that a peer hosts. */
  async hostedGroups(where: { readonly peerId: PeerId; readonly timeoutMs: number }): Promise<AdminClient[]> {
    const { groups } = await this.host('list_groups', {}, where);
    const founded = groups.filter(({ group_uid }) => group_uid !== '');
    return founded.map(({ group_id }) => new AdminClient(this.connection, group_id as GroupId, this.subjects.prefix));
  }

  /** Like `admin`, for an operation of the key-value store. */
  async kv<O extends KvOperation>(
    operation: O,
    request: KvRequest<O>,
    where: { readonly peerId?: PeerId; readonly timeoutMs: number },
  ): Promise<KvReply<O>> {
    const subject = this.subjectOf('kv', operation, where.peerId);
    const reads = readOperations.includes(operation);
    return this.ask(subject, request, kvOperations[operation].reply as Schema<KvReply<O>>, { ...where, reads });
  }

  /** Returns the peers of this group whose nodes answer NATS's service discovery, ordered by name. */
  async discover(withinMs: number): Promise<PeerId[]> {
    const answers = await this.connection.requestMany(discoverySubject, '', {
      strategy: 'stall',
      maxWait: withinMs,
      stall: Math.min(withinMs, 300),
    });
    const found = new Set<PeerId>();
    try {
      for await (const answer of answers) {
        const { group_id, peer_id } = metadataOf(answer);
        const peer = PeerId.safeParse(peer_id);
        if (group_id === this.groupId && peer.success) found.add(peer.data);
      }
    } catch (error) {
      const violation = violationOf(error);
      if (violation !== undefined) throw new ConclaveError('EPERM', violation.message);
      if (!isNobody(error)) throw error;
    }
    return [...found].toSorted();
  }

  private subjectOf(api: Api, name: string, peerId: PeerId | undefined): string {
    return peerId === undefined
      ? this.subjects.groupRequest(this.groupId, api, name)
      : this.subjects.peerRequest(this.groupId, peerId, api, name);
  }

  private ask<T>(
    subject: string,
    request: unknown,
    schema: Schema<T>,
    options: { readonly peerId?: PeerId; readonly timeoutMs: number; readonly reads: boolean },
  ): Promise<T> {
    const reply = this.askOnce(subject, request, schema, options);
    return options.reads ? reply : trackChange(reply);
  }

  private async askOnce<T>(
    subject: string,
    request: unknown,
    schema: Schema<T>,
    /** @param reads whether the request changes nothing, so that a failed one is not done */
    { peerId, timeoutMs, reads }: { readonly peerId?: PeerId; readonly timeoutMs: number; readonly reads: boolean },
  ): Promise<T> {
    let foreign = '';
    try {
      const options = {
        maxWait: timeoutMs,
        strategy: 'timer',
        ...(reads ? {} : { headers: callerHeaders() }),
      } as const;
      const answers = await this.connection.requestMany(subject, encode(request), options);
      for await (const { data } of answers) {
        if (isForeignReply(data)) foreign = ` but from another program: does a JetStream stream take ${subject}?`;
        else return parseReply(data, schema);
      }
    } catch (error) {
      if (reads && error instanceof ConclaveError) {
        throw new ConclaveError(error.code, error.message, 'not_done', error.leaderId);
      }
      const violation = violationOf(error);
      // If NATS does not permit this request, no peer has received it.
      if (violation !== undefined) throw new ConclaveError('EPERM', violation.message);
      if (isNobody(error)) {
        const who = peerId === undefined ? `the group ${this.groupId} has no leader now` : `${peerId} does not answer`;
        throw new ConclaveError('EUNREACHABLE', `${who}: nobody listens on ${subject}`);
      }
      throw error;
    }
    const outcome = reads ? 'not_done' : 'unknown';
    throw new ConclaveError('ETIMEDOUT', `no reply within ${timeoutMs} ms on ${subject}${foreign}`, outcome);
  }
}

/** The sender of a command, for the event about the command: a claim that nobody verifies. */
function callerHeaders(): MsgHdrs {
  const named = headers();
  named.set(callerHeader, `${userName()}@${hostname()}`.replace(/[^\x20-\x7e]/g, '?'));
  return named;
}

/** A container may have no user with the id of this process. */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return String(process.getuid?.() ?? '');
  }
}

/**
 * Parses a reply.
 * @throws ConclaveError the error of the reply, or EINVAL if the reply does not match the schema
 */
export function parseReply<T>(data: Uint8Array, schema: Schema<T>): T {
  const value = decoded(data);
  const failure = ErrorReply.safeParse(value);
  if (failure.success) {
    const { code, message, outcome, leader_id: leaderId } = failure.data.error;
    throw new ConclaveError(code, message, outcome, leaderId);
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new ConclaveError(
    'EINVAL',
    `the reply is malformed: ${formatIssues(parsed.error.issues, 'all of it')}`,
    'unknown',
  );
}

/** @throws ConclaveError EINVAL, unknown: a reply that cannot be parsed does not show whether the command was done */
function decoded(data: Uint8Array): unknown {
  try {
    return decode(data);
  } catch (error) {
    throw new ConclaveError('EINVAL', `the reply is malformed: ${(error as Error).message}`, 'unknown');
  }
}

function metadataOf(answer: Msg): Record<string, unknown> {
  try {
    const info = answer.json<{ metadata?: Record<string, unknown> }>();
    return info.metadata ?? {};
  } catch {
    return {};
  }
}

function isNobody(error: unknown): boolean {
  return (
    error instanceof NoRespondersError || (error instanceof RequestError && error.cause instanceof NoRespondersError)
  );
}
