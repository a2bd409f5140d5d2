/** Effects of a node's core in a line each, and configurations in short: `n1 n4 n5 | n1 n2 n3`. */
import {
  asPeerId,
  batchHeader,
  batchPayloads,
  type ConclaveEvent,
  type Configuration,
  type Member,
  type Message,
  type PeerId,
  readConfiguration,
  type StoreId,
} from '@conclave/protocol';
import type { NodeEffect } from '../../src/core/index.js';

/** `n1` with store `s1`, and so on; `n2:s9` for another store. */
function member(name: string): Member {
  const [peer = '', store] = name.split(':');
  return { peer_id: asPeerId(peer), store_id: (store ?? `s${peer.slice(1)}`) as StoreId };
}

/** `n1 n2 n3`, or with the old peers behind a bar. `n1 for n1 n2 n3`: the first entry, with its founding peers. */
export function configuration(all: string): Configuration {
  const [text, level] = all.split(' level ');
  const [sets = '', founding] = (text ?? '').split(' for ');
  const [peers = '', old = ''] = sets.split('|');
  const members = (names: string) => names.trim().split(/\s+/).filter(Boolean).map(member);
  const base = {
    peers: members(peers),
    old_peers: members(old),
    ...(level === undefined ? {} : { level: Number(level) }),
  };
  return founding === undefined ? base : { ...base, founding_peers: founding.split(' ').map(asPeerId) };
}

export function described(each: Configuration): string {
  const { peers, old_peers, founding_peers, epoch, level, lost_change } = each;
  const named = (members: readonly Member[]) =>
    members
      .map(({ peer_id, store_id }) => (store_id === `s${peer_id.slice(1)}` ? peer_id : `${peer_id}:${store_id}`))
      .join(' ');
  const old = old_peers.length > 0 ? ` | ${named(old_peers)}` : '';
  const lost = lost_change === undefined ? '' : ` lost ${lost_change.new_peers.join(' ')} of term ${lost_change.term}`;
  const since = `${epoch === undefined ? '' : ` epoch ${epoch}`}${lost}`;
  const founders = founding_peers === undefined ? '' : ` for ${founding_peers.join(' ')}`;
  return `${named(peers)}${old}${since}${founders}${level === undefined ? '' : ` level ${level}`}`;
}

/** A line, or undefined for what is mere clockwork. */
export function formatEffect(effect: NodeEffect): string | undefined {
  switch (effect.type) {
    case 'send':
      return tellMessage(effect.peerId, effect.message);
    case 'set_timer':
    case 'cancel_timer':
    case 'log':
      return undefined;
    case 'reply':
      return `reply ${effect.requestId} ${short(effect.result)}`;
    case 'refuse': {
      const { code, outcome, leader_id } = effect.error;
      return `refuse ${effect.requestId} ${code} ${outcome}${leader_id === undefined ? '' : ` leader ${leader_id}`}`;
    }
    case 'event':
      return tellEvent(effect.event);
    case 'subscribe_led_histories':
      return effect.isWanted ? 'subscribe to leaders' : 'unsubscribe from leaders';
    case 'subscribe_feed':
      return effect.peerId === '' ? 'unsubscribe from the feed' : `subscribe to the feed of ${effect.peerId}`;
    case 'publish': {
      const { after, revision, changes, error } = effect.body;
      const said = error === undefined ? `${changes.map(short).join(' ') || 'nothing'}` : error.code;
      return `publish ${effect.watchId} ${after}-${revision} ${said}`;
    }
    case 'serve':
      return effect.group ? 'serve the group' : 'serve the group no more';
    case 'trace':
      return `trace: ${effect.stage} ${effect.index}`;
    case 'leave_subjects':
      return 'leave the own subjects';
    case 'publish_led_history':
      return undefined;
    case 'ask_group':
      return 'ask the group';
    case 'probe_group':
      return `probe ${effect.probeId}`;
    case 'restart':
      return 'start over';
  }
}

function short(result: unknown): string {
  return typeof result === 'string' ? result : JSON.stringify(result);
}

function tellEvent({ name, detail }: ConclaveEvent): string {
  // Whether a change was requested is omitted.
  const { kind, ...rest } = { kind: undefined, ...detail };
  const said = kind === undefined || kind === 'change' ? rest : { kind, ...rest };
  const more = Object.values(said).map((value) => {
    if (Array.isArray(value)) return value.join(' ') || '-';
    return typeof value === 'object' && value !== null && 'code' in value ? value.code : String(value);
  });
  return `event ${[name, ...more].join(', ')}`;
}

/** Ticks; the messages to ballot-box and replicators for each append, which have the same content (see `leader-state.test.ts`); a read's round. */
const clockwork: readonly string[] = [
  'log-store.tick',
  'ballot-box.tick',
  'replicator.tick',
  'ballot-box.register',
  'log-store.confirm',
  'replicator.append',
  'node.change_announced',
];

function tellMessage(to: PeerId, { name, body }: Message): string | undefined {
  if (clockwork.includes(name)) return undefined;
  switch (name) {
    case 'feed.append':
    case 'log-store.append': {
      const truncation = body.truncate_from > 0 ? ` truncate ${body.truncate_from}` : '';
      const entries = body.batches.map(tellBatch).join(', ') || 'nothing';
      return `${name} term ${body.leader_term} of ${body.leader_id}:${truncation} ${entries} verified ${body.verified_index}`;
    }
    case 'log-store.vote':
      return `log-store.vote term ${body.term} for ${body.voted_for || 'nobody'}`;
    case 'log-store.reset':
      return `log-store.reset term ${body.term}: ${tellBatch(body.batch)}`;
    case 'log-store.read':
      return `log-store.read from ${body.from_index}`;
    case 'log-store.snapshot_chunk':
      return `snapshot_chunk ${body.number} of ${body.snapshot_id}, ${body.source}`;
    case 'log-store.snapshot_end':
      return `snapshot_end of ${body.snapshot_id}, ${body.source}: entry ${body.head.index} of term ${body.head.term}, ${body.head.chunks} chunks, compact to ${body.compact_to}`;
    case 'log-store.read_snapshot':
      return `read_snapshot ${body.snapshot_id} chunk ${body.number}`;
    case 'replicator.snapshot_stored':
      return `snapshot_stored ${body.stored} of ${body.snapshot_id} to ${to}${body.installed ? ', installed' : ''}`;
    case 'ballot-box.elect':
      return `ballot-box.elect ${body.kind} term ${body.term} of ${described(body.configuration)}`;
    case 'ballot-box.lead': {
      const configurations = body.configurations.map((entry) => `${entry.index}: ${described(entry.configuration)}`);
      return `ballot-box.lead term ${body.term} from ${body.first_index} to ${body.last_index}, ${configurations.join(', ')}`;
    }
    case 'replicator.lead':
      return `replicator.lead term ${body.term} up to ${body.last_index}: ${body.targets.map(tellTarget).join(' ') || 'nobody'}`;
    case 'replicator.targets':
      return `replicator.targets ${body.targets.map(tellTarget).join(' ') || 'nobody'}`;
    case 'replicator.transfer':
      return body.peer_id === ''
        ? 'replicator.transfer to nobody'
        : `replicator.transfer to ${body.peer_id} with ${body.last_index}`;
    case 'replicator.stop':
    case 'ballot-box.stop':
      return name;
    case 'node.request_vote':
      return `${body.kind} of term ${body.term} asked of ${to}${body.transfer ? ' on transfer' : ''}`;
    case 'ballot-box.vote_response':
      return `${body.kind} of term ${body.term} ${body.granted ? 'granted' : 'refused'} to ${to}`;
    case 'feed.echo':
      return `echo of tick ${body.tick_id} in term ${body.leader_term} to ${to}`;
    case 'node.read_index':
      return `read_index #${body.request_id}${body.by_lease ? ' by lease' : ''} to ${to}`;
    case 'node.read_index_answer':
      return `read_index_answer #${body.request_id} to ${to}: ${body.read_index} of term ${body.index_term}`;
    case 'log-store.read_only':
      return `log-store.read_only ${body.read_only}`;
    case 'node.higher_term':
      return `higher_term ${body.term} to ${to}`;
    case 'replicator.rejected': {
      const { reason, last_index, conflict_term, conflict_index } = body;
      return `rejected ${reason} to ${to}: last ${last_index}, conflict ${conflict_index} of term ${conflict_term}`;
    }
    case 'node.identify':
      return `identify ${to}`;
    case 'node.identity':
      return `identity to ${to}: ${body.group_uid || 'nothing'}${body.founding ? ', founding' : ''}`;
    default:
      return `${name} to ${to}`;
  }
}

function tellTarget({
  peer_id,
  store_id,
  catching_up,
}: {
  peer_id: string;
  store_id: string;
  catching_up: boolean;
}): string {
  const store = store_id === '' || store_id === `s${peer_id.slice(1)}` ? '' : `:${store_id}`;
  return `${peer_id}${store}${catching_up ? '+' : ''}`;
}

function tellBatch(bytes: Uint8Array): string {
  const { first, last, term, kind } = batchHeader(bytes);
  const where = first === last ? `${first}` : `${first}..${last}`;
  if (kind === 'commands') return `entry ${where} of term ${term}`;
  const configuration = readConfiguration(batchPayloads(bytes)[0] as Uint8Array);
  return `entry ${where} of term ${term} {${configuration === undefined ? 'unreadable' : described(configuration)}}`;
}
