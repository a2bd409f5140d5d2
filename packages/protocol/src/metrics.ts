/**
 * All metrics of Conclave: one table, from which `docs/metrics.md` is generated; and the reply of an actor to
 * `<prefix>.<group>.<peer>.<actor>.metrics`: request/reply, JSON or msgpack. Names and units follow the conventions of Prometheus.
 */
import { z } from 'zod';
import { ActorKind, GroupId, Incarnation, PeerId } from './types.js';

/** The last token of that subject; no message between actors has this name. */
export const metricsToken = 'metrics';

/** How a metric's value moves: up only, up and down, or as a distribution in buckets. */
export type MetricType = 'counter' | 'gauge' | 'histogram';

/** What reports a metric: an actor, each process once, or the exporter. */
export type MetricSource = 'actor' | 'node' | 'log-store' | 'process' | 'exporter';

/** The labels that every metric of a source has. */
export const commonLabels = {
  actor: ['group', 'peer', 'actor'],
  node: ['group', 'peer', 'actor'],
  'log-store': ['group', 'peer', 'actor'],
  process: ['peer', 'process'],
  exporter: [],
} as const satisfies Record<MetricSource, readonly string[]>;

export interface MetricDefinition {
  readonly type: MetricType;
  readonly source: MetricSource;
  readonly help: string;
  /** The labels besides those of its source. */
  readonly labels: readonly string[];
}

function metric<const L extends string = never>(
  source: MetricSource,
  type: MetricType,
  help: string,
  labels: readonly L[] = [],
) {
  return { source, type, help, labels };
}

/** The table. The name of a counter ends in “total”, before that with its unit: “seconds” or “bytes”. */
export const metrics = {
  // Of every actor.
  conclave_healthy: metric('actor', 'gauge', '1 if the actor works, as `conclave health` reports it; 0 if not'),
  conclave_mailbox_messages: metric('actor', 'gauge', 'Messages that wait for the actor now'),
  conclave_mailbox_bytes: metric('actor', 'gauge', 'Approximate memory of the messages that wait for the actor'),
  conclave_mailbox_turn_messages: metric('actor', 'histogram', 'Messages that waited when a turn of the actor began'),
  conclave_messages_received_total: metric('actor', 'counter', 'Messages that the actor received, by name', [
    'message',
  ]),
  conclave_messages_sent_total: metric('actor', 'counter', 'Messages that the actor sent, by name', ['message']),
  conclave_dropped_total: metric(
    'actor',
    'counter',
    'Messages and requests that the actor dropped, by reason. Most reasons are harmless: stale or repeated messages',
    ['reason'],
  ),

  // Of a node: requests.
  conclave_request_seconds: metric(
    'node',
    'histogram',
    'Time from the arrival of a request to its reply, by operation. `other`: operations that this build does not know',
    ['api', 'operation', 'outcome'],
  ),
  conclave_request_errors_total: metric('node', 'counter', 'Requests that were answered with an error, by its code', [
    'api',
    'code',
  ]),
  conclave_requests_open: metric('node', 'gauge', 'Requests that wait for their answers'),

  // Of a node: role and log.
  conclave_node_role: metric('node', 'gauge', '1 for the current role of the node, 0 for the others', ['role']),
  conclave_node_has_leader: metric('node', 'gauge', '1 if the node knows a leader of its term'),
  conclave_node_term: metric('node', 'gauge', 'The current term'),
  conclave_node_campaigns_total: metric(
    'node',
    'counter',
    'Campaigns that the node began: for pre-votes, which disturb nobody, and for votes, which begin a term',
    ['kind'],
  ),
  conclave_node_leader_changes_total: metric('node', 'counter', 'How often the node began to follow another leader'),
  conclave_node_first_index: metric('node', 'gauge', 'The first entry of the log that is not compacted'),
  conclave_node_last_index: metric('node', 'gauge', 'The last entry of the log'),
  conclave_node_commit_index: metric('node', 'gauge', 'The last entry that the node knows to be committed'),
  conclave_node_applied_index: metric('node', 'gauge', 'The last entry that was applied to the state machine'),
  conclave_node_level: metric('node', 'gauge', 'The feature level of the group'),
  conclave_node_read_only: metric(
    'node',
    'gauge',
    '1 if the peer stores no new entries: by command, or its disk is full',
  ),
  conclave_node_member: metric(
    'node',
    'gauge',
    '1 for each member of the newest configuration of the log; `old`: of the configuration that a change replaces',
    ['member', 'configuration'],
  ),
  conclave_commit_seconds: metric('node', 'histogram', 'Of a leader: time from appending writes to their commit'),
  conclave_apply_seconds: metric('node', 'histogram', 'Time that the state machine takes to apply an entry'),
  conclave_events_total: metric('node', 'counter', 'Events that the node published for observers, by name', ['event']),

  // Of a node that leads: targets and changes.
  conclave_node_target_lag_entries: metric(
    'node',
    'gauge',
    'Of a leader: entries of its log that a target has not acknowledged',
    ['target'],
  ),
  conclave_node_target_silence_seconds: metric(
    'node',
    'gauge',
    'Of a leader: time since a target last replied; +Inf: it never did',
    ['target'],
  ),
  conclave_node_target_behind: metric(
    'node',
    'gauge',
    'Of a leader: 1 if a target could not lead at once, as it lacks entries or has not applied them',
    ['target'],
  ),
  conclave_node_target_state: metric(
    'node',
    'gauge',
    'Of a leader: 1 for the state of the replicator of a target, 0 for the others. `install`: a snapshot is sent',
    ['target', 'state'],
  ),
  conclave_node_target_snapshot_chunks: metric(
    'node',
    'gauge',
    'Of a leader: chunks of a snapshot that a target still lacks; 0: none is sent',
    ['target'],
  ),
  conclave_node_change_stage: metric(
    'node',
    'gauge',
    'Of a leader: 1 for the stage of the membership change, 0 for the others. `none`: there is no change',
    ['stage'],
  ),
  conclave_node_states_compared_index: metric(
    'node',
    'gauge',
    'Of a leader: the entry after which the digests of the members’ states were last compared',
  ),
  conclave_node_states_differing: metric(
    'node',
    'gauge',
    'Of a leader: members whose state differed in the last comparison',
  ),

  // Of a node: snapshots and state.
  conclave_node_snapshot_index: metric(
    'node',
    'gauge',
    'The last entry that the current snapshot covers; 0: there is none',
  ),
  conclave_node_snapshot_bytes: metric('node', 'gauge', 'The size of the current snapshot'),
  conclave_node_snapshot_in_progress: metric(
    'node',
    'gauge',
    '1 while the node is taking a snapshot, installing one of its leader, or restoring its state from one',
    ['work'],
  ),
  conclave_node_snapshot_seconds: metric('node', 'histogram', 'Time that it took to take a snapshot'),
  conclave_keys: metric('node', 'gauge', 'Keys in the state'),
  conclave_leases: metric('node', 'gauge', 'Leases in the state'),
  conclave_locks: metric('node', 'gauge', 'Locks that are held'),
  conclave_sessions: metric('node', 'gauge', 'Sessions of clients in the state'),
  conclave_watches: metric('node', 'gauge', 'Of a leader: watches that it serves'),

  // Of a log-store.
  conclave_log_store_base_index: metric('log-store', 'gauge', 'The entry before the first one that is stored'),
  conclave_log_store_last_index: metric('log-store', 'gauge', 'The last entry that is stored and synced'),
  conclave_log_store_term: metric('log-store', 'gauge', 'The stored term'),

  // Of a process.
  conclave_build_info: metric('process', 'gauge', '1, with the version of Conclave and of Node.js', [
    'version',
    'node',
  ]),
  conclave_process_start_time_seconds: metric('process', 'gauge', 'When the process began, in seconds since 1970'),
  conclave_process_cpu_seconds_total: metric('process', 'counter', 'Processor time, by mode', ['mode']),
  conclave_process_resident_memory_bytes: metric('process', 'gauge', 'Memory of the process'),
  conclave_process_heap_bytes: metric('process', 'gauge', 'Memory of JavaScript objects'),
  conclave_event_loop_delay_seconds: metric(
    'process',
    'histogram',
    'How late timers fire. Delays near the election timeout cause elections',
  ),
  conclave_process_dropped_total: metric(
    'process',
    'counter',
    'Messages and requests that the connections and the transport of the process dropped, by reason',
    ['reason'],
  ),
  conclave_published_bytes_total: metric('process', 'counter', 'Bytes of messages that were published, by name', [
    'message',
  ]),
  conclave_received_bytes_total: metric('process', 'counter', 'Bytes of messages that NATS delivered, by name', [
    'message',
  ]),
  conclave_nats_connected: metric('process', 'gauge', '1 if the connection to NATS works', ['connection']),
  conclave_nats_reconnects_total: metric('process', 'counter', 'How often a connection to NATS was made again', [
    'connection',
  ]),
  conclave_nats_transferred_bytes_total: metric(
    'process',
    'counter',
    'All bytes of a connection to NATS, requests and replies included',
    ['connection', 'direction'],
  ),

  // Of a process that hosts log-stores.
  conclave_sync_seconds: metric(
    'process',
    'histogram',
    'Time that a synced write of the store takes (fdatasync included); all groups share them',
  ),
  conclave_store_writes_total: metric('process', 'counter', 'Writes that log-stores submitted; several share one sync'),
  conclave_store_bytes: metric('process', 'gauge', 'Size of the LevelDB files'),
  conclave_disk_free_bytes: metric('process', 'gauge', 'Free space on the disk of the data folder'),

  // Of the exporter.
  conclave_up: metric('exporter', 'gauge', '1 if the actor answered the exporter, 0 if a member’s actor did not', [
    'group',
    'peer',
    'actor',
  ]),
  conclave_exporter_seconds: metric('exporter', 'gauge', 'How long the exporter took to ask the mesh'),
} as const satisfies Record<string, MetricDefinition>;

export type Metrics = typeof metrics;
export type MetricName = keyof Metrics;

/** The labels that a sample of a metric needs, besides those of its source. */
export type LabelsOf<N extends MetricName> = Readonly<Record<Metrics[N]['labels'][number], string>>;

/** The counts of a histogram: `counts[i]` values were at most `bounds[i]` and above the bound before; the last one has no bound. */
export const Buckets = z.object({
  bounds: z.array(z.number()).max(64),
  counts: z.array(z.number().min(0)).max(65),
  sum: z.number(),
});
export type Buckets = z.infer<typeof Buckets>;

/** One value of a metric. An infinite one is null, as JSON has none. */
export const MetricSample = z.object({
  name: z.string().max(128),
  labels: z.record(z.string(), z.string().max(256)),
  /** Exactly one of both: `buckets` of a histogram. */
  value: z.number().nullable().optional(),
  buckets: Buckets.optional(),
});
export type MetricSample = z.infer<typeof MetricSample>;

/** The metrics of a process, which several actors may share: count each `id` once. */
export const ProcessSamples = z.object({
  /** The run of the process. */
  id: Incarnation,
  /** Its label `process`: the kinds of its actors. */
  process: z.string().max(64),
  samples: z.array(MetricSample),
});
export type ProcessSamples = z.infer<typeof ProcessSamples>;

export const MetricsReply = z.object({
  group_id: GroupId,
  peer_id: PeerId,
  actor: ActorKind,
  /** The run of the process that replies. */
  incarnation: Incarnation,
  /** Of the actor; the labels `group`, `peer` and `actor` are left out. */
  samples: z.array(MetricSample),
  /** In the reply of the first of its actors in each group; the labels `peer` and `process` are left out. */
  process: ProcessSamples.optional(),
});
export type MetricsReply = z.infer<typeof MetricsReply>;

export function isMetricName(name: string): name is MetricName {
  return Object.hasOwn(metrics, name);
}

/** Returns a sample of a counter or a gauge. */
export function sampleOf<N extends MetricName>(name: N, value: number, labels: LabelsOf<N>): MetricSample {
  return { name, labels, value: Number.isFinite(value) ? value : null };
}

/** Returns a sample of a histogram. */
export function bucketsOf<N extends MetricName>(name: N, buckets: Buckets, labels: LabelsOf<N>): MetricSample {
  return { name, labels, buckets };
}

/** Returns a sample for each of the states: 1 for the current one. `label` is the metric's last one. */
export function stateSamples<N extends MetricName>(
  name: N,
  states: readonly string[],
  current: string,
  label: Metrics[N]['labels'][number],
  labels: Readonly<Record<string, string>> = {},
): MetricSample[] {
  return states.map((state) => ({ name, labels: { ...labels, [label]: state }, value: state === current ? 1 : 0 }));
}
