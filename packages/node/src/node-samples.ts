/** The metrics of a node, from what its core knows. */
import type { StateCounts } from '@conclave/actor/core';
import {
  bucketsOf,
  type MetricSample,
  type Progress,
  ReplicatorState,
  Role,
  Stage,
  type StatusReply,
  sampleOf,
  stateSamples,
} from '@conclave/protocol';
import type { NodeMeasurements } from './core/node-core.js';

export function nodeSamples({ status, measures, counts, watches }: NodeMeasurements): MetricSample[] {
  return [
    ...stateSamples('conclave_node_role', Role.options, status.role, 'role'),
    sampleOf('conclave_node_has_leader', status.leader_id === '' ? 0 : 1, {}),
    sampleOf('conclave_node_term', status.term, {}),
    sampleOf('conclave_node_campaigns_total', measures.campaigns.pre_vote, { kind: 'pre_vote' }),
    sampleOf('conclave_node_campaigns_total', measures.campaigns.vote, { kind: 'vote' }),
    sampleOf('conclave_node_leader_changes_total', measures.leaderChanges, {}),
    sampleOf('conclave_node_first_index', status.first_index, {}),
    sampleOf('conclave_node_last_index', status.last_index, {}),
    sampleOf('conclave_node_commit_index', status.commit_index, {}),
    sampleOf('conclave_node_applied_index', status.applied_index, {}),
    sampleOf('conclave_node_level', status.level ?? 0, {}),
    sampleOf('conclave_node_read_only', status.read_only === '' ? 0 : 1, {}),
    ...memberSamples(status),
    bucketsOf('conclave_commit_seconds', measures.commitSeconds.buckets, {}),
    ...snapshotSamples(status),
    ...stateCountSamples(counts),
    ...(status.role === 'leader' ? leaderSamples(status, watches) : []),
  ];
}

function memberSamples({ configuration }: StatusReply): MetricSample[] {
  const sets = { new: configuration?.peers ?? [], old: configuration?.old_peers ?? [] };
  return Object.entries(sets).flatMap(([name, peers]) =>
    peers.map(({ peer_id }) => sampleOf('conclave_node_member', 1, { member: peer_id, configuration: name })),
  );
}

function snapshotSamples({ snapshot, taking, installing, restoring }: StatusReply): MetricSample[] {
  return [
    sampleOf('conclave_node_snapshot_index', snapshot?.index ?? 0, {}),
    sampleOf('conclave_node_snapshot_bytes', snapshot?.bytes ?? 0, {}),
    ...Object.entries({ taking, installing, restoring }).map(([work, part]) =>
      sampleOf('conclave_node_snapshot_in_progress', part === null ? 0 : 1, { work }),
    ),
  ];
}

function stateCountSamples({ keys, leases, locks, sessions }: StateCounts): MetricSample[] {
  return [
    ...(keys === undefined ? [] : [sampleOf('conclave_keys', keys, {})]),
    ...(leases === undefined ? [] : [sampleOf('conclave_leases', leases, {})]),
    ...(locks === undefined ? [] : [sampleOf('conclave_locks', locks, {})]),
    ...(sessions === undefined ? [] : [sampleOf('conclave_sessions', sessions, {})]),
  ];
}

function leaderSamples(status: StatusReply, watches: number): MetricSample[] {
  const { states } = status;
  const compared = states === undefined || states.index === 0 ? [] : [states];
  return [
    ...stateSamples('conclave_node_change_stage', Stage.options, status.stage, 'stage'),
    ...status.progress.flatMap((progress) => targetSamples(progress, status.last_index)),
    ...compared.flatMap(({ index, differing }) => [
      sampleOf('conclave_node_states_compared_index', index, {}),
      sampleOf('conclave_node_states_differing', differing.length, {}),
    ]),
    sampleOf('conclave_watches', watches, {}),
  ];
}

function targetSamples(progress: Progress, lastIndex: number): MetricSample[] {
  const { peer_id: target, match_index, silent_ms, install } = progress;
  const silence = silent_ms < 0 ? Number.POSITIVE_INFINITY : silent_ms / 1000;
  return [
    sampleOf('conclave_node_target_lag_entries', Math.max(0, lastIndex - match_index), { target }),
    sampleOf('conclave_node_target_silence_seconds', silence, { target }),
    sampleOf('conclave_node_target_behind', progress.behind === true ? 1 : 0, { target }),
    ...stateSamples('conclave_node_target_state', ReplicatorState.options, progress.state, 'state', { target }),
    sampleOf('conclave_node_target_snapshot_chunks', install === null ? 0 : install.chunks - install.stored, {
      target,
    }),
  ];
}
