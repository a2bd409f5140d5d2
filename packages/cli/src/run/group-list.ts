/**
 * Follows the list of groups that the process of this peer's log-stores publishes: for the peer's other processes.
 * Invariant: a list is followed unless the same run of that process has published a newer one before. A lost list is published
 * again within a second.
 */
import type { Connection, LineLog, RequestServer, Subscription } from '@conclave/actor';
import {
  type GroupId,
  GroupList,
  type HostedGroup,
  ListGroupsReply,
  type PeerId,
  type Subjects,
} from '@conclave/protocol';
import type { GroupSupervisor, WantedGroups } from './group-supervisor.js';

export interface GroupListDependencies {
  readonly connection: Connection;
  readonly requests: RequestServer;
  readonly subjects: Subjects;
  readonly host: GroupSupervisor;
  readonly log: LineLog;
  /** A group could not be started or stopped. */
  readonly fail: (error: unknown) => void;
}

/** How long a starting process waits for the list of the log-stores' process. */
const askTimeoutMs = 1000;

export class GroupListFollower {
  private readonly listening: Subscription;
  private newest: Pick<GroupList, 'incarnation' | 'version'> | undefined;
  /** Settles when the groups of the newest list run, or one cannot be started. */
  private following: Promise<void> = Promise.resolve();

  private constructor(
    private readonly options: { readonly peer: PeerId; readonly groups: readonly GroupId[] },
    private readonly dependencies: GroupListDependencies,
  ) {
    const { connection, subjects } = dependencies;
    const subject = subjects.groupList(options.peer);
    const subscription = connection.subscribe(subject, (message) => this.onList(message.data));
    this.listening = {
      close: () => {
        if (!connection.nats.isClosed()) subscription.unsubscribe();
      },
    };
  }

  /**
   * Resolves when all groups of the list run; if no list arrives in time, when those run that the options name. Rejects if one of them
   * cannot be started.
   */
  static async start(
    options: { readonly peer: PeerId; readonly groups: readonly GroupId[] },
    dependencies: GroupListDependencies,
  ): Promise<GroupListFollower> {
    const { requests, subjects, host } = dependencies;
    const follower = new GroupListFollower(options, dependencies);
    const answer = await requests.ask(subjects.host(options.peer, 'list_groups'), {}, askTimeoutMs);
    const parsed = ListGroupsReply.safeParse(answer);
    if (parsed.success) await follower.follow(parsed.data);
    else if (follower.newest === undefined) await host.follow(wantedGroups(options.groups, []));
    else await follower.following;
    return follower;
  }

  close(): void {
    this.listening.close();
  }

  private onList(data: Uint8Array): void {
    const parsed = GroupList.safeParse(parse(data));
    if (parsed.success && parsed.data.peer_id === this.options.peer) {
      this.follow(parsed.data).catch(this.dependencies.fail);
    } else {
      this.dependencies.log.write('warn', 'a list of groups is malformed, or of another peer');
    }
  }

  /** Resolves when the groups of this list run, or those of a newer one that was followed before. */
  private follow({
    incarnation,
    version,
    groups,
  }: Pick<GroupList, 'incarnation' | 'version' | 'groups'>): Promise<void> {
    const { newest } = this;
    const isOlder = newest?.incarnation === incarnation && version < newest.version;
    if (!isOlder) {
      this.newest = { incarnation, version };
      this.following = this.dependencies.host.follow(wantedGroups(this.options.groups, groups));
    }
    return this.following;
  }
}

/** Returns the groups that the options name, which are always included, and those that were created. */
export function wantedGroups(fixed: readonly GroupId[], created: readonly HostedGroup[]): WantedGroups {
  const wanted = new Map<GroupId, string>(created.map(({ group_id, hosting_id }) => [group_id, hosting_id]));
  for (const groupId of fixed) wanted.set(groupId, '');
  return wanted;
}

function parse(data: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(data));
  } catch {
    return undefined;
  }
}
