/** Bursts of requests, by plain NATS clients: all published at once, and each reply counted. */
import { readFileSync } from 'node:fs';
import { connect, createInbox, type NatsConnection } from 'nats';

/** A kind of request, with a field that differs in each. */
export interface FloodKind {
  readonly name: string;
  readonly subject: string;
  readonly body: (number: number) => string;
  /** Whether a short test sends a burst of it. */
  readonly isShort?: true;
}

/** The outcome of a burst. */
export interface FloodResult {
  readonly unanswered: number;
  readonly answeredTwice: number;
  /** Replies by error code and outcome; `ok`: no error. */
  readonly replies: Readonly<Record<string, number>>;
}

const manyKeys = Array.from({ length: 200 }, (_, number) => `k${number}`);

/**
 * Each kind of request of a group `main` with the peers n1, n2 and n3: valid ones, which change neither its members nor its leader.
 * @param follower a peer that does not lead
 */
export function floodKinds(follower: string, leader = 'n1'): FloodKind[] {
  const group = (name: string, body: (number: number) => unknown): FloodKind => ({
    name,
    subject: `conclave.main.${name}`,
    body: (number) => JSON.stringify(body(number)),
  });
  const short = (kind: FloodKind): FloodKind => ({ ...kind, isShort: true });
  const peers = ['n1', 'n2', 'n3'];
  return [
    short(group('kv.put', (number) => ({ key: `k${number}`, value: 'v' }))),
    short(group('kv.get', (number) => ({ key: `k${number}` }))),
    { name: 'kv.get by lease', ...onSubject('conclave.main.kv.get', { key: 'k1', consistency: 'lease' }) },
    { name: 'stale kv.get', ...onSubject('conclave.main.kv.get', { key: 'k1', consistency: 'stale' }) },
    short(group(`${follower}.kv.get`, () => ({ key: 'k1', consistency: 'linearizable' }))),
    group('kv.batch', (number) => ({ commands: [[0, 'put', `b${number}`, 'v']] })),
    group('kv.range', () => ({ prefix: 'k' })),
    { name: 'kv.range by lease', ...onSubject('conclave.main.kv.range', { prefix: 'k', consistency: 'lease' }) },
    { name: 'kv.batch_get', ...onSubject('conclave.main.kv.batch_get', { keys: manyKeys }) },
    { name: 'kv.changes', ...onSubject('conclave.main.kv.changes', { prefix: 'nothing has it', from_revision: 1 }) },
    group(`${follower}.kv.range`, () => ({ prefix: 'k', consistency: 'linearizable' })),
    group('kv.lease_grant', () => ({ ttl_ms: 60_000 })),
    group('kv.lease_keep', (number) => ({ lease_id: 1 + number })),
    group('kv.lease_revoke', (number) => ({ lease_id: 1 + number })),
    group('kv.lease_get', () => ({ lease_id: 1 })),
    group('kv.lease_list', () => ({})),
    group('kv.delete', (number) => ({ key: `k${number}` })),
    group('kv.cas', (number) => ({ key: `c${number}`, value: 'v', expected_revision: 0 })),
    short(
      group('kv.txn', (number) => ({
        compare: [[`t${number}`, 'revision', '=', 0]],
        then: [['put', `t${number}`, 'v']],
        else: [['get', `t${number}`]],
      })),
    ),
    group('kv.open_session', () => ({})),
    short(group('kv.lock', (number) => ({ name: `l${number % 100}`, owner: `o${number}`, lease_id: 1, wait: true }))),
    group('kv.unlock', (number) => ({ name: `l${number % 100}`, token: 1, lease_id: 1 })),
    group('kv.lock_get', () => ({ name: 'l1' })),
    group('kv.lock_list', () => ({})),
    short(
      group('kv.watch', (number) => ({
        prefix: 'k',
        watch_id: `${`owner${number % 1000}`.padEnd(22, '-')}.${number}`,
      })),
    ),
    group('kv.unwatch', (number) => ({ watch_id: `${`owner${number % 1000}`.padEnd(22, '-')}.${number}` })),
    { name: 'garbage', subject: 'conclave.main.kv.put', body: () => '{ no JSON' },
    group('admin.status', () => ({})),
    short(group('admin.change_peers', () => ({ new_peers: peers }))),
    group('admin.cancel_change', () => ({})),
    group('admin.add_peer', () => ({ peer_id: 'n1' })),
    group('admin.remove_peer', () => ({ peer_id: 'n9' })),
    group('admin.transfer_leader', () => ({ peer_id: leader })),
    group('admin.upgrade', () => ({})),
    group('admin.check', () => ({})),
    group(`${follower}.admin.status`, () => ({})),
    group(`${follower}.admin.get_leader`, () => ({})),
    group(`${follower}.admin.snapshot`, () => ({})),
    group(`${follower}.admin.bootstrap`, () => ({ peers })),
    group(`${follower}.admin.read_only`, () => ({ read_only: false })),
    group(`${follower}.admin.reset_peer`, () => ({ new_peers: peers })),
    group(`${follower}.admin.read_snapshot`, () => ({ number: 0 })),
    group(`${follower}.admin.restore_chunk`, () => ({ restore_id: 'r', number: 0, chunk: 'AAAA' })),
    group('n1.node.health', () => ({})),
    group('n1.replicator.health', () => ({})),
    group('n1.ballot-box.health', () => ({})),
    short(group('n1.log-store.health', () => ({}))),
    group('n1.log-store.metrics', () => ({})),
    group('n1.node.metrics', () => ({})),
    short({ name: 'list_groups', ...onSubject('conclave.admin.n1.list_groups', {}) }),
    { name: 'create_group', ...onSubject('conclave.admin.n1.create_group', { group_id: 'main' }) },
    { name: 'delete_group', ...onSubject('conclave.admin.n1.delete_group', { group_id: 'none' }) },
    { name: 'log_level', ...onSubject('conclave.admin.n1.node.log_level', {}) },
    { name: 'profile', ...onSubject('conclave.admin.n1.node.profile', { kind: 'cpu', seconds: 1 }) },
    { name: 'profile_chunk', ...onSubject('conclave.admin.n1.node.profile_chunk', { profile_id: 'p', number: 0 }) },
  ];
}

/** Questions of service discovery, which each node answers. */
export const discoveryKinds: readonly FloodKind[] = ['PING', 'INFO', 'STATS'].map((verb) => ({
  name: `$SRV.${verb}`,
  subject: `$SRV.${verb}.conclave`,
  body: () => '',
}));

function onSubject(subject: string, body: unknown): Pick<FloodKind, 'subject' | 'body'> {
  return { subject, body: () => JSON.stringify(body) };
}

export class Flood {
  private constructor(private readonly connections: readonly NatsConnection[]) {}

  static async open(url: string, connections: number): Promise<Flood> {
    return new Flood(await Promise.all(Array.from({ length: connections }, () => connect({ servers: url }))));
  }

  async close(): Promise<void> {
    await Promise.all(this.connections.map((connection) => connection.close()));
  }

  /**
   * Publishes that many requests at once, over all connections in turn, and waits for the replies.
   * @param replies how many each gets
   * @param stillMs it stops waiting after this many milliseconds without a reply
   */
  async burst(kind: FloodKind, count: number, replies = 1, stillMs = 10_000): Promise<FloodResult> {
    const received = new Uint8Array(count);
    const counted: Record<string, number> = {};
    let left = count * replies;
    let heardMs = performance.now();
    const inboxes = this.connections.map((connection) => {
      const inbox = createInbox();
      const subscription = connection.subscribe(`${inbox}.*`, {
        callback: (_error, message) => {
          const number = Number(message.subject.slice(message.subject.lastIndexOf('.') + 1));
          received[number] = (received[number] ?? 0) + 1;
          left -= 1;
          heardMs = performance.now();
          const code = message.headers?.get('Nats-Service-Error').split(':')[0] ?? '';
          const reply = code === '' ? 'ok' : `${code} ${message.json<{ error: { outcome: string } }>().error.outcome}`;
          counted[reply] = (counted[reply] ?? 0) + 1;
        },
      });
      return { connection, inbox, subscription };
    });
    await Promise.all(this.connections.map((connection) => connection.flush()));
    for (let number = 0; number < count; number++) {
      const { connection, inbox } = inboxes[number % inboxes.length] as (typeof inboxes)[number];
      connection.publish(kind.subject, kind.body(number), { reply: `${inbox}.${number}` });
    }
    while (left > 0 && performance.now() - heardMs < stillMs) await new Promise((resolve) => setTimeout(resolve, 20));
    for (const { subscription } of inboxes) subscription.unsubscribe();
    return {
      unanswered: received.filter((times) => times < replies).length,
      answeredTwice: received.filter((times) => times > replies).length,
      replies: counted,
    };
  }
}

/** The most memory that a process has used so far, in MiB (Linux). */
export function peakMemoryMb(processId: number): number {
  const [, kb = 'NaN'] = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${processId}/status`, 'utf8')) ?? [];
  return Number(kb) / 1024;
}
