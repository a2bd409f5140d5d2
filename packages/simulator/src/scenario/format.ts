/**
 * The texts of a scenario's output: short, without times and generated ids, so that the output changes only if the
 * behaviour does.
 */
import type { StatusReply } from '@conclave/protocol';
import { type ConclaveEvent, type Configuration, type ErrorBody, numbersPerSecond, peerIds } from '@conclave/protocol';

/** `{n1,n2,n3}`, or `{n1,n2,n3}=>{n1,n4,n5}` for a joint configuration. */
export function configurationText(peers: readonly string[], oldPeers: readonly string[]): string {
  const set = (ids: readonly string[]): string => `{${ids.join(',')}}`;
  return oldPeers.length === 0 ? set(peers) : `${set(oldPeers)}=>${set(peers)}`;
}

export function textOf(configuration: Configuration | null): string {
  if (configuration === null) return 'no configuration';
  return configurationText(peerIds(configuration.peers), peerIds(configuration.old_peers));
}

/** Returns a revision or token relative to the base of its history, which is a whole second. */
export function inHistory(revision: number): number {
  return revision % numbersPerSecond;
}

/** Returns the text of an event, without its peer. */
export function eventText(event: ConclaveEvent, term: number): string {
  switch (event.name) {
    case 'leader_elected':
      return `leads term ${term}`;
    case 'leader_stepped_down':
      return `steps down: ${event.detail.reason}`;
    case 'stage_changed': {
      const { kind, old_peers, new_peers, stage } = event.detail;
      return `${kind} ${configurationText(new_peers, old_peers)}: ${stage === 'none' ? 'ended' : stage}`;
    }
    case 'catchup_progress': {
      const { new_peer, state, match_index, last_index, percent } = event.detail;
      if (state === 'installing') return `catching up: ${new_peer} installing a snapshot, ${percent} %`;
      return `catching up: ${new_peer} ${state}, ${match_index} of ${last_index}`;
    }
    case 'configuration_appended':
      return `${configurationText(event.detail.peers, event.detail.old_peers)} effective, entry ${event.detail.index}`;
    case 'configuration_truncated': {
      const { peers, old_peers, index } = event.detail;
      return `${configurationText(peers, old_peers)} effective again, entry ${index}`;
    }
    case 'configuration_committed':
      return `${configurationText(event.detail.peers, event.detail.old_peers)} committed, entry ${event.detail.index}`;
    case 'change_failed': {
      const { kind, old_peers, new_peers, error } = event.detail;
      return `${kind} ${configurationText(new_peers, old_peers)} failed: ${error.code} ${error.message}`;
    }
    case 'peer_unreachable':
      return `does not reach ${event.detail.unreachable_peer}`;
    case 'peer_refused':
      return `rejects ${event.detail.refused_peer}: ${event.detail.reason}`;
    case 'peer_removed':
      return `knows that it was removed, entry ${event.detail.index}`;
    case 'store_refused':
      return `learns from ${event.detail.leader_id} that its name is bound to another store`;
    case 'peer_reset':
      return `continues as ${configurationText(event.detail.new_peers, [])}, epoch ${event.detail.epoch}: ${event.detail.may_be_lost}`;
    case 'other_history_seen':
      return `another history has the leader ${event.detail.other_leader_id}: serves no requests`;
    case 'peer_fenced':
      return 'is fenced';
    case 'snapshot_taken':
      return `takes a snapshot of entry ${event.detail.index}, its log begins after ${event.detail.compacted_to}`;
    case 'snapshot_installed':
      return `installs the snapshot of entry ${event.detail.index} of ${event.detail.leader_id}`;
    case 'read_only_changed':
      return event.detail.reason === '' ? 'accepts entries again' : `is read-only: ${event.detail.reason}`;
    case 'applying_stopped':
      return `stops applying at entry ${event.detail.index}: ${event.detail.reason}`;
    case 'level_raised':
      return `feature level ${event.detail.level} from entry ${event.detail.index} on`;
    case 'admin_command':
      return event.detail.command;
    case 'lock_forced':
      return `releases the lock ${event.detail.name} by force, token ${event.detail.token}`;
    case 'lease_forced':
      return `ends the lease ${event.detail.lease_id} by force`;
    case 'state_diverged':
      return `its state differs from the majority's after entry ${event.detail.index}`;
    case 'state_repaired':
      return `its state is repaired, entry ${event.detail.index}`;
    case 'actor_silent':
      return `its ${event.detail.actor} is silent`;
    default:
      return event satisfies never;
  }
}

/** `ECATCHUP not_done: did not catch up in time: n4 (never answered)` */
export function errorText({ code, outcome, message, leader_id }: ErrorBody): string {
  return `${code} ${outcome}: ${sentenceOf(message)}${leader_id === undefined ? '' : ` (leader ${leader_id})`}`;
}

/** Returns the first message of a list of schema faults. */
function sentenceOf(message: string): string {
  return message.startsWith('[') ? ((JSON.parse(message) as { message: string }[])[0]?.message ?? message) : message;
}

/** Returns one line for a peer. `commit/last` are indexes. */
export function statusText(status: StatusReply): string {
  const { role, term, configuration, commit_index, last_index, stage, leader_id, health } = status;
  const follows = role === 'follower' ? (leader_id === '' ? ' without a leader' : ` of ${leader_id}`) : '';
  const parts = [`${role}${follows}`, `term ${term}`, `log ${commit_index}/${last_index}`, textOf(configuration)];
  if (stage !== 'none') parts.push(`stage ${stage}`);
  const lacking = [...new Set([...status.lacking.peers, ...status.lacking.old_peers])];
  if (stage !== 'none' && lacking.length > 0) parts.push(`missing votes of ${lacking.join(' ')}`);
  if (!health.healthy) parts.push(`unhealthy: ${health.reason}`);
  return parts.join(', ');
}

/** Formats a reply with a few plain fields: `founded=true peers=n1,n2,n3`. Generated ids are left out. */
export function fieldsText(value: unknown): string {
  if (value === null || typeof value !== 'object') return String(value);
  const generated = ['group_uid', 'group_id', 'store_id', 'session', 'nonce', 'incarnation'];
  return Object.entries(value)
    .filter(([name]) => !generated.includes(name))
    .map(([name, field]) => `${name}=${Array.isArray(field) ? field.join(',') : fieldText(field)}`)
    .join(' ');
}

function fieldText(field: unknown): string {
  if (field instanceof Uint8Array) return `${field.length} bytes`;
  return typeof field === 'object' ? JSON.stringify(field) : String(field);
}
