/**
 * Asks a group, or one peer, over NATS: one request, one answer, parsed by its schema.
 *
 * It does not retry: whether asking again is safe is for the command to say.
 */
import { hostname, userInfo } from 'node:os';
import {
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
  readCommands,
  readOperations,
  Subjects,
} from '@conclave/protocol';
import { violationOf } from '@conclave/protocol/login';
import { headers, type Msg, type MsgHdrs, type NatsConnection, NoRespondersError, RequestError } from 'nats';

/** The part of a zod schema that is used here. */
interface Schema<T> {
  safeParse(value: unknown): { success: true; data: T } | { success: false; error: { message: string } };
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
   * Asks the leader, or one peer where it is named.
   * @throws ConclaveError the peer's error; EUNREACHABLE (not done) where nobody listens; ETIMEDOUT (unknown)
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

  /** Asks how a peer's node is. A fenced one answers this, and nothing else. */
  async health(where: { readonly peerId: PeerId; readonly timeoutMs: number }): Promise<HealthReply> {
    const address = { groupId: this.groupId, peerId: where.peerId, recipient: 'node' } as const;
    return this.ask(this.subjects.health(address), {}, HealthReply, { ...where, reads: true });
  }

  /** Asks the process of a peer's log-stores. */
  async host<C extends HostCommand>(
    command: C,
    request: HostRequest<C>,
    where: { readonly peerId: PeerId; readonly timeoutMs: number },
  ): Promise<HostReply<C>> {
    const subject = this.subjects.host(where.peerId, command);
    const reads = command === 'list_groups';
    return this.ask(subject, request, hostCommands[command].reply as Schema<HostReply<C>>, { ...where, reads });
  }

  /** Returns clients of the founded groups that a peer hosts. */
  async hostedGroups(where: { readonly peerId: PeerId; readonly timeoutMs: number }): Promise<AdminClient[]> {
    const { groups } = await this.host('list_groups', {}, where);
    const founded = groups.filter(({ group_uid }) => group_uid !== '');
    return founded.map(({ group_id }) => new AdminClient(this.connection, group_id as GroupId, this.subjects.prefix));
  }

  /** As `admin`, for an operation of the key-value store. */
  async kv<O extends KvOperation>(
    operation: O,
    request: KvRequest<O>,
    where: { readonly peerId?: PeerId; readonly timeoutMs: number },
  ): Promise<KvReply<O>> {
    const subject = this.subjectOf('kv', operation, where.peerId);
    const reads = readOperations.includes(operation);
    return this.ask(subject, request, kvOperations[operation].reply as Schema<KvReply<O>>, { ...where, reads });
  }

  /** The peers of this group whose nodes answer NATS's service discovery, in order of their names. */
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

  private subjectOf(door: Api, name: string, peerId: PeerId | undefined): string {
    return peerId === undefined
      ? this.subjects.groupRequest(this.groupId, door, name)
      : this.subjects.peerRequest(this.groupId, peerId, door, name);
  }

  private async ask<T>(
    subject: string,
    request: unknown,
    schema: Schema<T>,
    /** `reads`: it changes nothing, so that one that fails is not done. */
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
      // A request that may not be published has reached nobody.
      if (violation !== undefined) throw new ConclaveError('EPERM', violation.message);
      if (isNobody(error)) {
        const who = peerId === undefined ? `the group ${this.groupId} has no leader now` : `${peerId} does not answer`;
        throw new ConclaveError('EUNREACHABLE', `${who}: nobody listens on ${subject}`);
      }
      throw error;
    }
    const outcome = reads ? 'not_done' : 'unknown';
    throw new ConclaveError('ETIMEDOUT', `no answer within ${timeoutMs} ms on ${subject}${foreign}`, outcome);
  }
}

/** Who sends a command, for the event about it: a claim, which nobody checks. */
function callerHeaders(): MsgHdrs {
  const named = headers();
  named.set(callerHeader, `${userName()}@${hostname()}`.replace(/[^\x20-\x7e]/g, '?'));
  return named;
}

/** In a container there may be no user of this process's number. */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return String(process.getuid?.() ?? '');
  }
}

/**
 * Reads a reply.
 * @throws ConclaveError the error that it is, or EINVAL where it is none of what the schema says
 */
export function parseReply<T>(data: Uint8Array, schema: Schema<T>): T {
  const value = decoded(data);
  const failure = ErrorReply.safeParse(value);
  if (failure.success) {
    const { code, message, outcome, leader_id: leaderId } = failure.data.error;
    throw new ConclaveError(code, message, outcome, leaderId);
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw new ConclaveError('EINVAL', `the answer is malformed: ${parsed.error.message}`, 'unknown');
  return parsed.data;
}

/** @throws ConclaveError EINVAL, unknown: an answer that cannot be read says nothing of what was done */
function decoded(data: Uint8Array): unknown {
  try {
    return decode(data);
  } catch (error) {
    throw new ConclaveError('EINVAL', `the answer is malformed: ${(error as Error).message}`, 'unknown');
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
