/**
 * `conclave health` as container health checks call it, every few seconds in every container: it loads nothing but the NATS
 * client, as loading the whole command costs several times the processor time of asking. What it does not understand, say
 * `--help`, or a name that is none, it leaves to the whole command, which says the same and explains itself.
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

interface Asked {
  readonly peer: string;
  readonly actors: readonly string[];
  readonly groups: readonly string[];
  /** How to log in to NATS: what counts for more comes first. */
  readonly login: readonly LoginSettings[];
  readonly prefix: string;
  readonly timeoutMs: number;
  /** Also of the groups that were created while the processes ran. */
  readonly allGroups: boolean;
  /** Of all members of each group, not of one peer. */
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
  /** What is wrong; of a healthy actor a remark, or empty. */
  readonly reason: string;
}

export interface HealthResult {
  readonly healthy: boolean;
  /** Why nobody could be asked; empty: the actors were. */
  readonly problem: string;
  /** NATS rejects the login, or what it needs cannot be read. */
  readonly isLoginRejected?: boolean;
  readonly actors: readonly ActorHealth[];
}

/** What is looked at in a status. */
interface Status {
  readonly configuration_index: number;
  readonly configuration?: {
    readonly epoch?: number;
    readonly peers: readonly { readonly peer_id: string }[];
    readonly old_peers: readonly { readonly peer_id: string }[];
  } | null;
}

/** As `exitCodes.login`, which would load more. */
const loginRejected = 7;
const token = /^[A-Za-z0-9_-]{1,64}$/;
const actorKinds = ['node', 'replicator', 'ballot-box', 'log-store'];
/**
 * Each option with the setting that takes its place. In a container the environment says which peer it belongs to, and which actor
 * runs there: `health` without a peer asks that actor. All four are asked of a peer that is named, whatever container asks.
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

/** The options of a login that have a value, with the settings that they are. */
const loginNames = new Map([
  ['nats', 'servers'],
  ...loginOptions.flatMap(({ option, setting, value }) => (value === undefined ? [] : [[option, setting] as const])),
]);

/** What is asked for; undefined: it takes the whole command to tell. */
export function readAsked(
  words: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): Asked | undefined {
  // A configuration file is read by the whole command.
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
  const asked = {
    peer: of('peer', ''),
    actors: listed(actors),
    groups: listed(of('groups', 'main')),
    login: [login, settingsFromEnvironment(environment)],
    prefix: of('prefix', 'conclave'),
    timeoutMs: Number(of('timeout-ms', '2000')),
    allGroups: words.includes('--all-groups'),
    allPeers,
    json: words.includes('--json'),
  };
  // Which groups were created is asked of one peer.
  const needsPeer = !allPeers || asked.allGroups;
  const names = [...(needsPeer ? [asked.peer] : []), ...asked.groups, ...asked.prefix.split('.')];
  const isSound =
    names.every((name) => token.test(name)) &&
    asked.actors.every((kind) => actorKinds.includes(kind)) &&
    Math.min(asked.actors.length, asked.groups.length) > 0 &&
    (login.servers === undefined || listed(String(login.servers)).length > 0) &&
    Number.isInteger(asked.timeoutMs) &&
    asked.timeoutMs >= 1 &&
    asked.timeoutMs <= 60_000;
  return isSound ? asked : undefined;
}

function listed(text: string): string[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

/** Asks each actor of the peer, or of all peers, in each group. */
export async function checkHealth(asked: Asked): Promise<HealthResult> {
  let nats: NatsConnection;
  try {
    const name = `conclave health ${asked.peer}`;
    const login = NatsLogin.of(...asked.login);
    login.checkInbox(asked.prefix);
    nats = await connectWith(login, { name, reconnect: false, timeout: asked.timeoutMs });
  } catch (error) {
    const { code } = error as LoginError;
    const problem = code === 'ELOGIN' ? `ELOGIN: ${(error as Error).message}` : (error as Error).message;
    return { healthy: false, problem, isLoginRejected: error instanceof LoginError && code === 'ELOGIN', actors: [] };
  }
  try {
    const groups = new Set([...asked.groups, ...(asked.allGroups ? await createdGroups(nats, asked) : [])]);
    const places = await Promise.all([...groups].map((group) => placesOf(nats, asked, group)));
    const asks = places.flat().flatMap((place) => asked.actors.map((actor) => ask(nats, asked, { ...place, actor })));
    const actors = await Promise.all(asks);
    return { healthy: actors.every(({ healthy }) => healthy), problem: '', actors };
  } catch (error) {
    return { healthy: false, problem: (error as Error).message, actors: [] };
  } finally {
    await nats.close();
  }
}

/** Prints what was found and sets the exit code: remarks on standard output, what is wrong on standard error. */
export function reportHealth({ healthy, problem, isLoginRejected, actors }: HealthResult, json: boolean): void {
  process.exitCode = healthy ? 0 : isLoginRejected === true ? loginRejected : 1;
  if (json) {
    process.stdout.write(`${JSON.stringify({ healthy, ...(problem === '' ? {} : { problem }), actors })}\n`);
    return;
  }
  if (problem !== '') process.stderr.write(`conclave: ${problem}\n`);
  for (const { group_id, peer_id, actor, healthy: isWell, reason } of actors) {
    const who = `the ${actor} of ${peer_id} in group ${group_id}`;
    if (!isWell) process.stderr.write(`conclave: ${who} ${reason}\n`);
    else if (reason !== '') process.stdout.write(`${who} is healthy: ${reason}\n`);
  }
}

/** The peers that are asked: the one that is named, or the members of the group. @throws Error where nobody knows them */
async function placesOf(nats: NatsConnection, asked: Asked, group: string): Promise<Place[]> {
  const peers = asked.allPeers ? await membersOf(nats, asked, group) : [asked.peer];
  return peers.map((peer_id) => ({ group_id: group, peer_id }));
}

/** The members by the leader's configuration, else by the newest that any peer knows; else whoever hosts the group. */
async function membersOf(nats: NatsConnection, { prefix, timeoutMs }: Asked, group: string): Promise<string[]> {
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

/** The peers whose nodes of this group answer NATS's service discovery. */
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
    // Nobody is there.
  }
  return [...found].toSorted();
}

/** @throws Error where the peer does not say. */
async function createdGroups(nats: NatsConnection, { peer, prefix, timeoutMs }: Asked): Promise<string[]> {
  try {
    const find = (reply: { groups?: { group_id: string }[] }) => reply.groups?.map(({ group_id }) => group_id);
    const found = await firstOf(nats, `${prefix}.admin.${peer}.list_groups`, timeoutMs, find);
    if (found === undefined) throw new Error(`no answer within ${timeoutMs} ms`);
    return found;
  } catch (error) {
    throw new Error(`${peer} does not say which groups it hosts: ${(error as Error).message}`);
  }
}

async function ask(
  nats: NatsConnection,
  { prefix, timeoutMs }: Asked,
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
 * Asks in JSON, which is answered in JSON, and takes the first answer that makes sense: a JetStream stream that takes the subject
 * answers too.
 * @returns undefined where none comes in time. @throws Error where nobody listens, or NATS does not permit it
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
