/**
 * `conclave health` as container health checks run it, every few seconds in every container. It loads only the NATS client,
 * because loading the whole command takes several times as much processor time as the requests. Arguments that it does not
 * support, such as `--help` or an invalid name, are left to the whole command, which does the same and reports errors.
 */
import {
  connectWith,
  LoginError,
  type LoginSettings,
  loginOptions,
  NatsLogin,
  settingsFromEnvironment,
  violationOf,
} from '@conclave/protocol/login';
import { type Msg, type NatsConnection, NoRespondersError } from 'nats';
import { print, printProblem } from './terminal-text.js';

interface HealthQuery {
  readonly peer: string;
  readonly actors: readonly string[];
  readonly groups: readonly string[];
  /** How to log in to NATS; earlier elements have precedence. */
  readonly login: readonly LoginSettings[];
  readonly prefix: string;
  readonly timeoutMs: number;
  /** Whether to include the groups that were created while the processes ran. */
  readonly allGroups: boolean;
  /** Whether to ask all members of each group instead of one peer. */
  readonly allPeers: boolean;
  readonly json: boolean;
}

interface Place {
  readonly group_id: string;
  readonly peer_id: string;
}

export interface ActorHealth extends Place {
  readonly actor: string;
  readonly healthy: boolean;
  /** Why the actor is unhealthy; for a healthy actor a remark, or empty. */
  readonly reason: string;
}

export interface HealthResult {
  readonly healthy: boolean;
  /** Why no actor could be asked; empty: they were asked. */
  readonly problem: string;
  /** NATS rejects the login, or its files cannot be read. */
  readonly isLoginRejected?: boolean;
  readonly actors: readonly ActorHealth[];
}

/** The fields of a status that are used here. */
interface Status {
  readonly configuration_index: number;
  readonly configuration?: {
    readonly epoch?: number;
    readonly peers: readonly { readonly peer_id: string }[];
    readonly old_peers: readonly { readonly peer_id: string }[];
  } | null;
}

/** The same as `exitCodes.login`; importing that would load more. */
const loginRejected = 7;
const token = /^[A-Za-z0-9_-]{1,64}$/;
const actorKinds = ['node', 'replicator', 'ballot-box', 'log-store'];
/**
 * Each option with the variable that replaces it. In a container the environment names its peer and its actors, and `health`
 * without a peer asks these actors. If a peer is named, all four actors of that peer are asked.
 */
const settings = {
  peer: 'CONCLAVE_PEER',
  actors: 'CONCLAVE_ACTORS',
  groups: 'CONCLAVE_GROUPS',
  prefix: 'CONCLAVE_PREFIX',
  'timeout-ms': '',
} as const;

const flags = ['--all-groups', '--all-peers', '--json', '--nats-tls-first'];

type Name = keyof typeof settings;

/** The options of a login that have a value, with the names of their settings. */
const loginNames = new Map([
  ['nats', 'servers'],
  ...loginOptions.flatMap(({ option, setting, value }) => (value === undefined ? [] : [[option, setting] as const])),
]);

/** Parses the arguments; undefined: the whole command must parse them. */
export function readQuery(
  words: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): HealthQuery | undefined {
  // Only the whole command reads configuration files.
  if (environment.CONCLAVE_CONFIG) return undefined;
  const given = new Map<Name, string>();
  const login: Record<string, string | boolean> = words.includes('--nats-tls-first') ? { tlsFirst: true } : {};
  const valued = words.filter((word) => !flags.includes(word));
  for (let at = 0; at < valued.length; at += 2) {
    const name = valued[at]?.replace(/^--/, '') ?? '';
    const value = valued[at + 1];
    if (valued[at] !== `--${name}` || value === undefined) return undefined;
    const setting = loginNames.get(name);
    if (setting !== undefined) login[setting] = value;
    else if (Object.hasOwn(settings, name)) given.set(name as Name, value);
    else return undefined;
  }
  const of = (name: Name, fallback: string): string => given.get(name) ?? (environment[settings[name]] || fallback);
  const allPeers = words.includes('--all-peers');
  const isOwnProcess = !allPeers && !given.has('peer');
  const actors = isOwnProcess ? of('actors', actorKinds.join()) : (given.get('actors') ?? actorKinds.join());
  const query = {
    peer: of('peer', ''),
    actors: listed(actors),
    groups: listed(of('groups', 'main')),
    login: [login, settingsFromEnvironment(environment)],
    prefix: of('prefix', 'conclave'),
    timeoutMs: wholeNumberOf(of('timeout-ms', '2000')),
    allGroups: words.includes('--all-groups'),
    allPeers,
    json: words.includes('--json'),
  };
  // The created groups are requested from one peer.
  const needsPeer = !allPeers || query.allGroups;
  const names = [...(needsPeer ? [query.peer] : []), ...query.groups, ...query.prefix.split('.')];
  const isSound =
    names.every((name) => token.test(name)) &&
    query.actors.every((kind) => actorKinds.includes(kind)) &&
    Math.min(query.actors.length, query.groups.length) > 0 &&
    (login.servers === undefined || listed(String(login.servers)).length > 0) &&
    Number.isInteger(query.timeoutMs) &&
    query.timeoutMs >= 1 &&
    query.timeoutMs <= 60_000;
  return isSound ? query : undefined;
}

/** NaN: the text is no whole number, as the whole command parses them. */
function wholeNumberOf(text: string): number {
  return /^\d+$/.test(text) ? Number(text) : Number.NaN;
}

function listed(text: string): string[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

/** Requests the health of each actor of the peer, or of all peers, in each group. */
export async function checkHealth(query: HealthQuery): Promise<HealthResult> {
  let nats: NatsConnection;
  try {
    const name = `conclave health ${query.peer}`;
    const login = NatsLogin.of(...query.login);
    login.checkInbox(query.prefix);
    nats = await connectWith(login, { name, reconnect: false, timeout: query.timeoutMs });
  } catch (error) {
    const { code } = error as LoginError;
    const problem = `${error instanceof LoginError ? `${code}: ` : ''}${(error as Error).message}`;
    return { healthy: false, problem, isLoginRejected: error instanceof LoginError && code === 'ELOGIN', actors: [] };
  }
  try {
    const groups = new Set([...query.groups, ...(query.allGroups ? await createdGroups(nats, query) : [])]);
    const places = await Promise.all([...groups].map((group) => placesOf(nats, query, group)));
    const requests = places
      .flat()
      .flatMap((place) => query.actors.map((actor) => ask(nats, query, { ...place, actor })));
    const actors = await Promise.all(requests);
    return { healthy: actors.every(({ healthy }) => healthy), problem: '', actors };
  } catch (error) {
    return { healthy: false, problem: (error as Error).message, actors: [] };
  } finally {
    await nats.close();
  }
}

/** Prints the result and sets the exit code: remarks go to standard output, problems to standard error. */
export function reportHealth({ healthy, problem, isLoginRejected, actors }: HealthResult, json: boolean): void {
  process.exitCode = healthy ? 0 : isLoginRejected === true ? loginRejected : 1;
  if (json) {
    process.stdout.write(`${JSON.stringify({ healthy, ...(problem === '' ? {} : { problem }), actors })}\n`);
    return;
  }
  if (problem !== '') printProblem(problem);
  for (const { group_id, peer_id, actor, healthy: isHealthy, reason } of actors) {
    const who = `the ${actor} of ${peer_id} in group ${group_id}`;
    if (!isHealthy) printProblem(`${who} ${reason}`);
    else if (reason !== '') print(process.stdout, `${who} is healthy: ${reason}\n`);
  }
}

/**
 * Returns the peers to ask: the named one, or the members of the group.
 * @throws Error if no peer knows the members
 */
async function placesOf(nats: NatsConnection, query: HealthQuery, group: string): Promise<Place[]> {
  const peers = query.allPeers ? await membersOf(nats, query, group) : [query.peer];
  return peers.map((peer_id) => ({ group_id: group, peer_id }));
}

/**
 * Returns the members in the leader's configuration; without a leader, those in the newest configuration that any peer knows;
 * otherwise all peers that host the group.
 */
async function membersOf(nats: NatsConnection, { prefix, timeoutMs }: HealthQuery, group: string): Promise<string[]> {
  const statusOf = async (where: string): Promise<Status | undefined> => {
    try {
      const find = (status: Status) => (status.configuration ? status : undefined);
      return await firstOf(nats, `${prefix}.${where}.admin.status`, timeoutMs, find);
    } catch {
      return undefined;
    }
  };
  const led = await statusOf(group);
  if (led !== undefined) return namesOf(led);
  const hosts = await hostsOf(nats, group, timeoutMs);
  if (hosts.length === 0) throw new Error(`no peer of the group ${group} answers`);
  const known = await Promise.all(hosts.map((host) => statusOf(`${group}.${host}`)));
  const [newest] = known
    .filter((status) => status !== undefined)
    .toSorted((a, b) => epochOf(b) - epochOf(a) || b.configuration_index - a.configuration_index);
  return newest === undefined ? hosts : namesOf(newest);
}

function epochOf({ configuration }: Status): number {
  return configuration?.epoch ?? 0;
}

function namesOf({ configuration }: Status): string[] {
  const members = [...(configuration?.peers ?? []), ...(configuration?.old_peers ?? [])];
  return [...new Set(members.map(({ peer_id }) => peer_id))].toSorted();
}

/** Returns the peers whose nodes of this group answer NATS's service discovery. */
async function hostsOf(nats: NatsConnection, group: string, timeoutMs: number): Promise<string[]> {
  const found = new Set<string>();
  const options = { strategy: 'stall', maxWait: timeoutMs, stall: Math.min(timeoutMs, 300) } as const;
  try {
    for await (const answer of await nats.requestMany('$SRV.INFO.conclave', '', options)) {
      const reply = jsonOf<{ metadata?: { group_id?: unknown; peer_id?: unknown } }>(answer);
      const { group_id, peer_id } = reply?.metadata ?? {};
      if (group_id === group && typeof peer_id === 'string' && token.test(peer_id)) found.add(peer_id);
    }
  } catch {
    // No peer answers.
  }
  return [...found].toSorted();
}

/** @throws Error if the peer does not return the list */
async function createdGroups(nats: NatsConnection, { peer, prefix, timeoutMs }: HealthQuery): Promise<string[]> {
  try {
    const find = (reply: { groups?: { group_id: string }[] }) => reply.groups?.map(({ group_id }) => group_id);
    const found = await firstOf(nats, `${prefix}.admin.${peer}.list_groups`, timeoutMs, find);
    if (found === undefined) throw new Error(`no reply within ${timeoutMs} ms`);
    return found;
  } catch (error) {
    throw new Error(`${peer} does not report which groups it hosts: ${(error as Error).message}`);
  }
}

async function ask(
  nats: NatsConnection,
  { prefix, timeoutMs }: HealthQuery,
  place: Place & { readonly actor: string },
): Promise<ActorHealth> {
  const { group_id, peer_id, actor } = place;
  const unhealthy = (reason: string): ActorHealth => ({ ...place, healthy: false, reason });
  try {
    const subject = `${prefix}.${group_id}.${peer_id}.${actor}.health`;
    const found = await firstOf(nats, subject, timeoutMs, (reply: { healthy?: unknown; reason?: unknown }) =>
      typeof reply.healthy === 'boolean' ? { healthy: reply.healthy, reason: String(reply.reason) } : undefined,
    );
    if (found === undefined) return unhealthy(`does not answer within ${timeoutMs} ms`);
    return found.healthy ? { ...place, ...found } : unhealthy(`is unhealthy: ${found.reason}`);
  } catch (error) {
    const refusal = violationOf(error)?.message;
    if (refusal !== undefined) return unhealthy(`cannot be asked: ${refusal}`);
    const isNobodyThere = error instanceof NoRespondersError;
    const why = isNobodyThere ? 'it does not run, or is not connected to NATS: see its log' : (error as Error).message;
    return unhealthy(`does not answer: ${why}`);
  }
}

/**
 * Sends a request in JSON, and returns the first reply that can be parsed as JSON: a JetStream stream that
 * consumes the subject replies, too.
 * @returns undefined if there is none in time
 * @throws Error if nobody subscribes, or NATS does not permit the request
 */
async function firstOf<Reply, Found>(
  nats: NatsConnection,
  subject: string,
  timeoutMs: number,
  find: (reply: Reply) => Found | undefined,
): Promise<Found | undefined> {
  for await (const answer of await nats.requestMany(subject, '{}', { strategy: 'timer', maxWait: timeoutMs })) {
    const reply = jsonOf<Reply>(answer);
    const found = reply === undefined ? undefined : find(reply);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Undefined: it is no JSON object. */
function jsonOf<Reply>(answer: Msg): Reply | undefined {
  try {
    const reply: unknown = answer.json();
    return typeof reply === 'object' && reply !== null ? (reply as Reply) : undefined;
  } catch {
    return undefined;
  }
}
