/** Events in words, for people. */

import type { ObservedEvent } from '@conclave/observer';
import type { ChangeKind, EventBody } from '@conclave/protocol';
import { bothSets, bytesText, count, duration, peerSet, stageNames } from './format.js';

function callerText({ name, source }: EventBody<'admin_command'>['caller']): string {
  if (source === 'unknown') return '';
  return `; sent by ${name}${source === 'named' ? ', as it says' : ''}`;
}

/** Returns a short description of an event. */
export function eventText(event: ObservedEvent): string {
  switch (event.name) {
    case 'leader_elected':
      return `leads ${bothSets(event.body.peers, event.body.old_peers)}`;
    case 'leader_stepped_down':
      return `no longer leads: ${event.body.reason}`;
    case 'stage_changed':
      return `${kindText(event.body.kind)}${event.body.stage === 'none' ? 'ended' : stageNames[event.body.stage]}: ${changeText(event.body)}`;
    case 'catchup_progress':
      return `${event.body.new_peer} ${catchupText(event.body)}`;
    case 'configuration_appended':
      return `${bothSets(event.body.peers, event.body.old_peers)} is in effect, at index ${count(event.body.index)}`;
    case 'configuration_truncated':
      return `${bothSets(event.body.peers, event.body.old_peers)} is in effect again, at index ${count(event.body.index)}`;
    case 'configuration_committed':
      return `${bothSets(event.body.peers, event.body.old_peers)} is committed, at index ${count(event.body.index)}`;
    case 'change_failed':
      return `${peerSet(event.body.old_peers)} stays; ${event.body.error.code}: ${event.body.error.message}`;
    case 'peer_unreachable':
      return `${event.body.unreachable_peer} has been silent for ${duration(event.body.silent_ms)}`;
    case 'peer_refused':
      return `${event.body.refused_peer} is refused: ${event.body.reason}`;
    case 'peer_removed':
      return `was removed from the group, at index ${count(event.body.index)}`;
    case 'store_refused':
      return `the group binds its name to another store, as ${event.body.leader_id} reports`;
    case 'peer_reset':
      return `continues as ${peerSet(event.body.new_peers)}, epoch ${event.body.epoch}; ${event.body.may_be_lost}`;
    case 'other_history_seen':
      return `${event.body.other_leader_id} leads another history of this group (${event.body.other_group_uid}, here ${event.body.group_uid}): no request is served`;
    case 'peer_fenced':
      return `another node has opened its log-store (session ${event.body.session})`;
    case 'snapshot_taken':
      return `has taken a snapshot at index ${count(event.body.index)}: ${bytesText(event.body.bytes)} in ${duration(event.body.took_ms)}; its log begins after ${count(event.body.compacted_to)}`;
    case 'snapshot_installed':
      return `has installed ${event.body.leader_id}'s snapshot of index ${count(event.body.index)}: ${bytesText(event.body.bytes)}`;
    case 'read_only_changed':
      return event.body.reason === ''
        ? 'stores entries again'
        : `stores no entries: ${readOnlyText(event.body.reason)}`;
    case 'applying_stopped':
      return `has stopped applying at index ${count(event.body.index)}: ${event.body.reason}`;
    case 'level_raised':
      return `the feature level is ${event.body.level}, from index ${count(event.body.index)} on`;
    case 'admin_command':
      return `${event.body.command}: ${event.body.code === '' ? 'done' : `${event.body.code}, ${event.body.outcome}`}${callerText(event.body.caller)}`;
    case 'lock_forced':
      return `the lock ${JSON.stringify(event.body.name)} was taken from its holder, token ${event.body.token}, by force`;
    case 'lease_forced':
      return `the lease ${event.body.lease_id} was ended by force`;
    case 'state_diverged':
      return event.body.majority_digest === ''
        ? `the members' states differ at index ${count(event.body.index)}, and no majority has the same`
        : `its state differs from the majority's at index ${count(event.body.index)}`;
    case 'state_repaired':
      return `its state is the majority's again, at index ${count(event.body.index)}`;
    case 'actor_silent':
      return `its ${event.body.actor} is silent`;
  }
}

/** Why a peer stores no entries. */
export function readOnlyText(reason: 'told' | 'disk'): string {
  return reason === 'told' ? 'an operator made it read-only' : 'its disk has less room than the reserve';
}

/** The kind of a change, unless a user requested it. */
export function kindText(kind: ChangeKind): string {
  return kind === 'change' ? '' : `${kind}: `;
}

/** `{n1,n2,n3} to {n1,n4,n5}` */
export function changeText(change: {
  readonly old_peers: readonly string[];
  readonly new_peers: readonly string[];
}): string {
  return `${peerSet(change.old_peers)} to ${peerSet(change.new_peers)}`;
}

/** The progress of a new peer, in the words of promise 12. */
export function catchupText(progress: Pick<EventBody<'catchup_progress'>, 'state' | 'lag' | 'percent'>): string {
  switch (progress.state) {
    case 'never_heard_of':
      return 'never answered';
    case 'lagging':
      return `lagging by ${count(progress.lag)} entries`;
    case 'installing':
      return `installing a snapshot at ${progress.percent} %`;
    case 'caught_up':
      return 'caught up';
    case 'refused':
      return 'refused';
  }
}
