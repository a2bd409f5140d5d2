/**
 * Serves the requests to create, delete and list the groups of a peer, in the process that hosts the peer's log-stores; and
 * publishes the list for the peer's other processes.
 *
 * Invariants:
 * 1. Commands that create or delete a group are carried out one at a time, in the order in which they arrived. At most
 *    `limits.hostCommands` of them are open; more are rejected. `list_groups` does not wait for them, and its reply is encoded at
 *    most once in a turn of the event loop: this process writes the peer's log, and a flood of requests must not delay that.
 * 2. A group is started only once it is on the durable list; its data are removed only once its log-store has stopped.
 */
import {
  type Connection,
  type LineLog,
  newEndpointCounts,
  newIncarnation,
  oncePerTurn,
  type Request,
  type RequestServer,
  type ServedSubject,
} from '@conclave/actor';
import type { HostedGroups } from '@conclave/log-store';
import {
  type ActorKind,
  actorKinds,
  asGroupId,
  ConclaveError,
  commandOutcome,
  type Encoding,
  encodeAs,
  encodeJson,
  formatIssues,
  type GroupId,
  type GroupList,
  HealthReply,
  type HostReply,
  type HostRequest,
  hostCommands,
  isHostCommand,
  limits,
  type SchemaIssue,
  type StoredGroup,
  type Subjects,
} from '@conclave/protocol';
import { wantedGroups } from './group-list.js';
import type { GroupSupervisor } from './group-supervisor.js';
import type { HostedOptions } from './run-options.js';

/** The store behind the groups: the durable list of created groups, and what is stored of each group's log. */
export interface GroupStore {
  readonly groups: HostedGroups;
  stored(groupId: GroupId): Pick<StoredGroup, 'store_id' | 'group_uid' | 'last_index'>;
  readonly writes: { readonly submitted: number; readonly synced: number };
}

export interface GroupApiDependencies {
  readonly connection: Connection;
  readonly requests: RequestServer;
  readonly subjects: Subjects;
  readonly host: GroupSupervisor;
  readonly store: GroupStore;
  readonly log: LineLog;
}

/** The time between two publications of the list. */
const publishEveryMs = 1000;
/** How long the peer's other processes may take to start or stop their actors of a group. */
const followWithinMs = 3000;
/** The time between two checks whether they have. */
const checkEveryMs = 50;
const healthTimeoutMs = 500;

/** The result of a command. */
interface Done {
  readonly reply: object;
  /**
   * The group whose actors the peer's other processes are to start or stop. The reply waits for that, at most `followWithinMs`, and
   * names the actors that run then.
   */
  readonly follow?: readonly [GroupId, 'started' | 'stopped'];
}

export class GroupApi {
  private readonly incarnation = newIncarnation();
  private served: ServedSubject | undefined;
  private timer: NodeJS.Timeout | undefined;
  private running: Promise<void> = Promise.resolve();
  private waiting = 0;
  private closed = false;
  private readonly encodedList = oncePerTurn((encoding: Encoding) => encodeAs(this.list(), encoding));
  /** One object for all of these refusals: `Request.refuse` encodes the same object only once, so a flood costs little. */
  private readonly busy = new ConclaveError(
    'EBUSY',
    `${limits.hostCommands} commands are waiting for their replies`,
  ).toBody();

  constructor(
    private readonly options: Pick<HostedOptions, 'peer' | 'groups' | 'actors'>,
    private readonly dependencies: GroupApiDependencies,
  ) {}

  /** Resolves when the actors of all groups of this process are started, and requests are served. */
  async start(): Promise<void> {
    const { requests, subjects } = this.dependencies;
    await this.follow();
    const subject = subjects.host(this.options.peer, '*');
    this.served = requests.serveSubject(subject, newEndpointCounts(), (request) => this.onRequest(request));
    this.timer = setInterval(() => this.publish(), publishEveryMs);
  }

  /** Accepts no more commands; resolves when the running one has ended. */
  async close(): Promise<void> {
    this.closed = true;
    clearInterval(this.timer);
    await this.served?.close();
    await this.running;
  }

  private onRequest(request: Request): void {
    if (request.name === 'list_groups') return this.replyWithList(request);
    if (this.waiting >= limits.hostCommands) return request.refuse(this.busy);
    this.waiting += 1;
    const performed = this.running.then(() => this.perform(request.name, request.decode()));
    this.running = performed.then(
      () => undefined,
      () => undefined,
    );
    void this.answer(request, performed).then(() => {
      this.waiting -= 1;
    });
  }

  private replyWithList(request: Request): void {
    try {
      if (this.closed) throw stopping();
      check(hostCommands.list_groups.request.safeParse(request.decode()));
      if (!request.replyEncoded(this.encodedList(request.encoding))) throw tooLarge();
    } catch (error) {
      request.refuse((error instanceof ConclaveError ? error : this.unforeseen(error)).toBody());
    }
  }

  private async answer(request: Request, performed: Promise<Done>): Promise<void> {
    try {
      const { reply, follow } = await performed;
      // The next command does not wait until the other processes have followed.
      const actors = follow === undefined ? undefined : await this.actorsOf(...follow);
      const whole = actors === undefined ? reply : { ...reply, actors };
      if (!request.reply(whole)) throw tooLarge();
      this.audit(request, undefined);
    } catch (error) {
      const refusal = error instanceof ConclaveError ? error : this.unforeseen(error);
      request.refuse(refusal.toBody());
      this.audit(request, refusal);
    }
  }

  /** Publishes the outcome of a command that creates or deletes a group, as the event `admin_command` of that group. */
  private audit(request: Request, error: ConclaveError | undefined): void {
    if (request.name !== 'create_group' && request.name !== 'delete_group') return;
    const groupId = groupOf(request);
    if (groupId === undefined) return;
    this.dependencies.requests.publishEvent('admin_command', {
      group_id: groupId,
      peer_id: this.options.peer,
      term: 0,
      time: new Date().toISOString(),
      ...commandOutcome(request.name, request.caller, error),
    });
  }

  private async perform(name: string, body: unknown): Promise<Done> {
    if (this.closed) throw stopping();
    // `list_groups` is answered in `onRequest`, and does not come here.
    if (!isHostCommand(name) || name === 'list_groups')
      throw new ConclaveError('ENOENT', `there is no command ${JSON.stringify(name)}`);
    switch (name) {
      case 'create_group':
        return this.create(check(hostCommands.create_group.request.safeParse(body)));
      case 'delete_group':
        return this.delete(check(hostCommands.delete_group.request.safeParse(body)));
    }
  }

  private async create({ group_id }: HostRequest<'create_group'>): Promise<Done> {
    const { groups } = this.dependencies.store;
    const found = this.options.groups.includes(group_id) ? { hosting_id: '' } : groups.find(group_id);
    const hosting_id = found?.hosting_id ?? newIncarnation();
    if (found === undefined) {
      if (this.size >= limits.hostedGroups) {
        throw new ConclaveError('EBUSY', `a process hosts at most ${limits.hostedGroups} groups`);
      }
      await groups.add({ group_id, hosting_id });
      this.dependencies.log.write('info', 'a group is created', { group: group_id, hosting_id });
    }
    await this.follow();
    await this.dependencies.connection.settled();
    return { reply: { group_id, hosting_id, created: found === undefined }, follow: [group_id, 'started'] };
  }

  private async delete({ group_id, group_uid }: HostRequest<'delete_group'>): Promise<Done> {
    const { log, store } = this.dependencies;
    if (this.options.groups.includes(group_id)) {
      throw new ConclaveError('EINVAL', `the options of this process name ${group_id}: remove it from --groups first`);
    }
    const isHosted = store.groups.find(group_id) !== undefined;
    if (group_uid !== undefined && (!isHosted || store.stored(group_id).group_uid !== group_uid)) {
      throw new ConclaveError('ENOENT', `there is no group ${group_id} of that history here`);
    }
    if (!isHosted && !(await store.groups.holds(group_id))) return { reply: { group_id, deleted: false, actors: [] } };
    await store.groups.release(group_id);
    await this.follow();
    await store.groups.remove(group_id);
    log.write('info', 'a group is deleted', { group: group_id });
    return { reply: { group_id, deleted: true }, follow: [group_id, 'stopped'] };
  }

  private list(): HostReply<'list_groups'> {
    const { store } = this.dependencies;
    const fixed = this.options.groups.map((group_id) => ({ group_id, hosting_id: '', fixed: true }));
    const created = this.created.map((group) => ({ ...group, fixed: false }));
    return {
      peer_id: this.options.peer,
      incarnation: this.incarnation,
      version: store.groups.version,
      groups: [...fixed, ...created].map((group) => ({ ...group, ...store.stored(group.group_id) })),
      writes: { asked: store.writes.submitted, synced: store.writes.synced },
    };
  }

  /** Makes this process run exactly the groups of the list, and publishes the list for the peer's other processes. */
  private async follow(): Promise<void> {
    await this.dependencies.host.follow(wantedGroups(this.options.groups, this.created));
    this.publish();
  }

  private publish(): void {
    const { connection, store, subjects } = this.dependencies;
    const fixed = this.options.groups.map((group_id) => ({ group_id, hosting_id: '' }));
    const list: GroupList = {
      peer_id: this.options.peer,
      incarnation: this.incarnation,
      version: store.groups.version,
      groups: [...fixed, ...this.created],
    };
    connection.publish(subjects.groupList(this.options.peer), encodeJson(list));
  }

  /**
   * Waits until the peer's other processes have started or stopped their actors of the group, at most `followWithinMs`.
   * @returns the actors of the group that run then, in all processes of the peer
   */
  private async actorsOf(groupId: GroupId, wanted: 'started' | 'stopped'): Promise<ActorKind[]> {
    const { peer, actors: own } = this.options;
    const others = actorKinds.filter((kind) => !own.includes(kind));
    const until = performance.now() + followWithinMs;
    for (;;) {
      const lookups = others.map(async (kind) => ((await this.isRunning(groupId, kind, wanted)) ? [kind] : []));
      const running = (await Promise.all(lookups)).flat();
      const done = wanted === 'started' ? running.length === others.length : running.length === 0;
      if (done || performance.now() > until || this.closed) {
        return actorKinds.filter((kind) => running.includes(kind) || (wanted === 'started' && own.includes(kind)));
      }
      this.dependencies.log.write('debug', 'waiting for other processes', { group: groupId, peer, wanted, running });
      await new Promise((resolve) => setTimeout(resolve, checkEveryMs));
    }
  }

  /**
   * Returns whether the actor runs. An actor has started once it replies: a program that subscribes to all subjects and never
   * replies is no actor (decision 0105). An actor has stopped once nobody subscribes to its subject: that it does not reply is not
   * enough, because its process may be paused.
   */
  private async isRunning(groupId: GroupId, recipient: ActorKind, wanted: 'started' | 'stopped'): Promise<boolean> {
    const { requests, subjects } = this.dependencies;
    const subject = subjects.health({ groupId, peerId: this.options.peer, recipient });
    if (wanted === 'stopped') return requests.isServed(subject, healthTimeoutMs);
    return HealthReply.safeParse(await requests.ask(subject, {}, healthTimeoutMs)).success;
  }

  /** The groups that the options do not name. */
  private get created() {
    return this.dependencies.store.groups.groups.filter(({ group_id }) => !this.options.groups.includes(group_id));
  }

  private get size(): number {
    return this.options.groups.length + this.created.length;
  }

  private unforeseen(error: unknown): ConclaveError {
    this.dependencies.log.write('error', 'a command on groups failed', { err: String(error) });
    return new ConclaveError('ECORRUPT', `the store failed: ${(error as Error).message}`, 'unknown');
  }
}

function stopping(): ConclaveError {
  return new ConclaveError('ESHUTDOWN', 'the process is stopping');
}

function tooLarge(): ConclaveError {
  return new ConclaveError('EINVAL', 'the reply is too large for a message');
}

/** The group that a command names; undefined: none. */
function groupOf(request: Request): GroupId | undefined {
  try {
    return asGroupId((request.decode() as { readonly group_id: string }).group_id);
  } catch {
    return undefined;
  }
}

function check<T>(
  parsed:
    | { readonly success: true; readonly data: T }
    | { readonly success: false; readonly error: { readonly issues: readonly SchemaIssue[] } },
): T {
  if (parsed.success) return parsed.data;
  throw new ConclaveError('EINVAL', formatIssues(parsed.error.issues));
}
