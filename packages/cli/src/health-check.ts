/**
 * `conclave health` as container health checks call it, every few seconds in every container: it loads nothing but the NATS
 * client, as loading the whole command costs several times the processor time of asking. What it does not understand, say
 * `--help`, or a name that is none, it leaves to the whole command, which says the same and explains itself.
 */
import { connect, type NatsConnection } from 'nats';

interface Asked {
  readonly peer: string;
  readonly actors: readonly string[];
  readonly groups: readonly string[];
  readonly servers: readonly string[];
  readonly prefix: string;
  readonly timeoutMs: number;
  /** Also of the groups that were created while the processes ran. */
  readonly allGroups: boolean;
}

const token = /^[A-Za-z0-9_-]{1,64}$/;
const actorKinds = ['node', 'replicator', 'ballot-box', 'log-store'];
/** Each option with the setting that takes its place. */
const settings = {
  peer: 'CONCLAVE_PEER',
  actors: 'CONCLAVE_ACTORS',
  groups: 'CONCLAVE_GROUPS',
  nats: 'NATS_URL',
  prefix: 'CONCLAVE_PREFIX',
  'timeout-ms': '',
} as const;

type Name = keyof typeof settings;

/** What is asked for; undefined: it takes the whole command to tell. */
export function readAsked(
  words: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): Asked | undefined {
  const given = new Map<Name, string>();
  const valued = words.filter((word) => word !== '--all-groups');
  for (let at = 0; at < valued.length; at += 2) {
    const name = valued[at]?.replace(/^--/, '') ?? '';
    const value = valued[at + 1];
    if (valued[at] !== `--${name}` || !Object.hasOwn(settings, name) || value === undefined) return undefined;
    given.set(name as Name, value);
  }
  const of = (name: Name, fallback: string): string => given.get(name) ?? (environment[settings[name]] || fallback);
  const asked = {
    peer: of('peer', ''),
    actors: listed(of('actors', actorKinds.join())),
    groups: listed(of('groups', 'main')),
    servers: listed(of('nats', 'nats://127.0.0.1:4222')),
    prefix: of('prefix', 'conclave'),
    timeoutMs: Number(of('timeout-ms', '2000')),
    allGroups: valued.length < words.length,
  };
  const names = [asked.peer, ...asked.groups, ...asked.prefix.split('.')];
  const isSound =
    names.every((name) => token.test(name)) &&
    asked.actors.every((kind) => actorKinds.includes(kind)) &&
    Math.min(asked.actors.length, asked.groups.length, asked.servers.length) > 0 &&
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

/** Asks each actor of the peer in each group. Answers what is wrong, a sentence each. */
export async function findTroubles(asked: Asked): Promise<string[]> {
  let nats: NatsConnection;
  try {
    nats = await connect({
      servers: [...asked.servers],
      name: `conclave health ${asked.peer}`,
      noRandomize: true,
      reconnect: false,
      timeout: asked.timeoutMs,
    });
  } catch (error) {
    return [`no NATS server can be reached: ${(error as Error).message}`];
  }
  try {
    const groups = new Set([...asked.groups, ...(asked.allGroups ? await createdGroups(nats, asked) : [])]);
    const all = [...groups].flatMap((group) => asked.actors.map((actor) => ask(nats, asked, group, actor)));
    return (await Promise.all(all)).filter((trouble) => trouble !== undefined);
  } catch (error) {
    return [(error as Error).message];
  } finally {
    await nats.close();
  }
}

/** @throws Error where the peer does not say. */
async function createdGroups(nats: NatsConnection, { peer, prefix, timeoutMs }: Asked): Promise<string[]> {
  try {
    const reply = await nats.request(`${prefix}.admin.${peer}.list_groups`, '{}', { timeout: timeoutMs });
    return reply.json<{ groups: { group_id: string }[] }>().groups.map(({ group_id }) => group_id);
  } catch (error) {
    throw new Error(`${peer} does not say which groups it hosts: ${(error as Error).message}`);
  }
}

async function ask(
  nats: NatsConnection,
  { peer, prefix, timeoutMs }: Asked,
  group: string,
  actor: string,
): Promise<string | undefined> {
  const who = `the ${actor} of ${peer} in group ${group}`;
  try {
    // Asked in JSON, it answers in JSON.
    const reply = await nats.request(`${prefix}.${group}.${peer}.${actor}.health`, '{}', { timeout: timeoutMs });
    const { healthy, reason } = reply.json<{ healthy: unknown; reason: unknown }>();
    if (typeof healthy !== 'boolean') return `${who} gives no sensible answer`;
    return healthy ? undefined : `${who} is not well: ${String(reason)}`;
  } catch (error) {
    return `${who} does not answer: ${(error as Error).message}`;
  }
}
