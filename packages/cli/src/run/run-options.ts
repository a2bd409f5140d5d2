/** The options of `conclave run` and `conclave health`, also from the environment. Invalid values are rejected at once. */
import path from 'node:path';
import { defaultLoginAttempts, logLevels } from '@conclave/actor';
import {
  type ActorKind,
  actorKinds,
  defaultDiskReserveBytes,
  defaultLevelSettleMs,
  defaultPrefix,
  defaultScrubIntervalHours,
  defaultSnapshotBytesPerSecond,
  defaultSnapshots,
  defaultTimes,
  type GroupId,
  limits,
  type PeerId,
} from '@conclave/protocol';
import { defaultNatsUrl } from '@conclave/protocol/login';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { UsageError } from '../exit-codes.js';
import { type ListenAddress, parseListenAddress } from '../listen-address.js';
import type { LoginFlags } from '../login.js';
import {
  parseGroup,
  parsePeer,
  parsePrefix,
  splitList,
  wholeNumber,
  withLoginOptions,
  withRenamedOption,
} from '../options.js';

/** Which actors of which peer a process hosts, and where NATS is. */
export interface HostedOptions extends LoginFlags {
  readonly peer: PeerId;
  readonly actors: readonly ActorKind[];
  readonly groups: readonly GroupId[];
  readonly prefix: string;
}

export interface RunOptions extends HostedOptions {
  /** The folder of a log-store's LevelDB; undefined: a folder of the peer's name in `conclave-data`. */
  readonly dataDir?: string;
  /** Whether messages inside the process are also published, for observers. */
  readonly mirror: boolean;
  /** Whether small messages of several groups are sent as one between two processes. */
  readonly bundle: boolean;
  /** The module and export of a custom state machine; undefined: the key-value store. */
  readonly application?: string;
  readonly logLevel: string;
  /** The address at which metrics and health are served over HTTP; `off` or undefined: none. */
  readonly http?: ListenAddress | 'off';
  /** Whether the process starts even if another process runs the same node, which is then fenced. */
  readonly takeOver: boolean;
  /** Consecutive rejected logins before the process ends, until its first connection; 0: no limit. */
  readonly natsLoginAttempts: number;
  readonly electionTimeoutMs: number;
  readonly heartbeatIntervalMs: number;
  readonly changeTimeoutMs: number;
  readonly jointTimeoutMs: number;
  readonly removalNoticeMs: number;
  /** Whether a leader raises the group's feature level by itself. */
  readonly raiseLevel: 'auto' | 'manual';
  readonly levelSettleMs: number;
  readonly clientSessionMs: number;
  readonly snapshotLogMb: number;
  readonly snapshotIntervalMs: number;
  readonly snapshotMarginEntries: number;
  /** How fast this process sends snapshots to other peers: MiB a second, all groups together. */
  readonly snapshotMbPerSecond: number;
  /** With less free disk space than this, in MiB, a peer stores no new entries. */
  readonly diskReserveMb: number;
  /** The interval at which a log-store reads and checks all that it stores; 0: never. */
  readonly scrubIntervalHours: number;
  /** Replaces `scrubIntervalHours`, for tests. */
  readonly scrubIntervalMs?: number;
}

const longestMs = 86_400_000;
const MiB = 1024 * 1024;

/** Returns the folder in which a log-store keeps its data. */
export function dataFolder({ dataDir, peer }: RunOptions): string {
  return path.resolve(dataDir ?? path.join('conclave-data', peer));
}

/** Returns the snapshot options of a node. */
export function snapshotOptions(options: RunOptions) {
  return {
    snapshotLogBytes: options.snapshotLogMb * MiB,
    snapshotIntervalMs: options.snapshotIntervalMs,
    snapshotMarginEntries: options.snapshotMarginEntries,
  };
}

/** Adds the options that select actors. @param isPeerMandatory whether the command always needs one peer */
export function withHostedOptions(command: Command, isPeerMandatory = true): Command {
  const peer = new Option('--peer <name>', 'the peer').env('CONCLAVE_PEER').argParser(parsePeer);
  const withPeer = command
    .addOption(peer.makeOptionMandatory(isPeerMandatory))
    .addOption(
      new Option('--actors <kinds>', `its actors in this process, separated by commas: ${actorKinds.join(', ')}`)
        .env('CONCLAVE_ACTORS')
        .argParser(parseActors)
        .default([...actorKinds], 'all'),
    )
    .addOption(
      new Option('--groups <names>', 'the replication groups, separated by commas')
        .env('CONCLAVE_GROUPS')
        .argParser(parseGroups)
        .default([parseGroup('main')], 'main'),
    );
  return withLoginOptions(
    withPeer,
    'NATS servers, separated by commas, the preferred one first',
    defaultNatsUrl,
  ).addOption(
    new Option('--prefix <subject>', 'the first tokens of all subjects')
      .env('CONCLAVE_PREFIX')
      .argParser(parsePrefix)
      .default(defaultPrefix),
  );
}

/** Adds the options of `run`, with those that select actors. */
export function withRunOptions(command: Command): Command {
  withHostedOptions(command)
    .addOption(
      new Option('--data-dir <folder>', 'where a log-store keeps its data (default: conclave-data/<peer>)').env(
        'CONCLAVE_DATA_DIR',
      ),
    )
    .addOption(
      new Option('--mirror', 'also publish the messages inside this process, for observers')
        .env('CONCLAVE_MIRROR')
        .default(false),
    )
    .addOption(
      new Option('--no-bundle', 'do not join small messages of several groups into one').env('CONCLAVE_NO_BUNDLE'),
    )
    .addOption(
      new Option(
        '--application <module>',
        'a custom state machine: a file or package, then "#" and its export (default: the key-value store)',
      ).env('CONCLAVE_APPLICATION'),
    )
    .addOption(
      new Option('--log-level <level>', 'the lowest level that is logged')
        .env('CONCLAVE_LOG_LEVEL')
        .choices(logLevels)
        .default('info'),
    );
  command.addOption(
    new Option('--http <address>', 'where to serve /metrics, /livez and /readyz: 127.0.0.1:9464; off: nowhere')
      .env('CONCLAVE_HTTP')
      .argParser((text: string) => (text === 'off' ? text : parseListenAddress(text))),
  );
  command.addOption(
    new Option(
      '--take-over',
      'start even if another process runs the same actors of this peer; not possible for a log-store',
    ).default(false),
  );
  command.addOption(
    new Option(
      '--nats-login-attempts <n>',
      'consecutive rejected NATS logins at the start before the process ends; 0: no limit',
    )
      .env('CONCLAVE_NATS_LOGIN_ATTEMPTS')
      .argParser(wholeNumber(0, 1_000_000))
      .default(defaultLoginAttempts),
  );
  command.addOption(
    new Option('--scrub-interval-ms <ms>', 'replaces --scrub-interval-hours, for tests')
      .env('CONCLAVE_SCRUB_INTERVAL_MS')
      .argParser(wholeNumber(1, longestMs))
      .hideHelp(),
  );
  command.addOption(
    new Option(
      '--raise-level <when>',
      'whether a leader raises the feature level automatically, or only an operator does',
    )
      .env('CONCLAVE_RAISE_LEVEL')
      .choices(['auto', 'manual'])
      .default('auto'),
  );
  for (const [name, text, fallback] of times) {
    const variable = `CONCLAVE_${name.toUpperCase().replaceAll('-', '_')}`;
    const option = new Option(`--${name} <ms>`, text).env(variable).argParser(wholeNumber(1, longestMs));
    command.addOption(option.default(fallback));
  }
  for (const [name, unit, text, min, fallback] of amounts) {
    const variable = `CONCLAVE_${name.toUpperCase().replaceAll('-', '_')}`;
    const option = new Option(`--${name} <${unit}>`, text).env(variable).argParser(wholeNumber(min, maxOf(unit)));
    command.addOption(option.default(fallback));
  }
  return withRenamedOption(command, '--farewell-ms <ms>', '--removal-notice-ms', 'CONCLAVE_FAREWELL_MS');
}

function maxOf(unit: string): number {
  return unit === 'MiB' ? Math.floor(Number.MAX_SAFE_INTEGER / MiB) : Number.MAX_SAFE_INTEGER;
}

const times: readonly (readonly [string, string, number])[] = [
  [
    'election-timeout-ms',
    'a follower that receives nothing from a leader campaigns after 1 to 1.4 times this',
    defaultTimes.electionTimeoutMs,
  ],
  ['heartbeat-interval-ms', 'interval between heartbeats of a leader', defaultTimes.heartbeatIntervalMs],
  ['change-timeout-ms', 'deadline for new peers to catch up; past it the change fails', defaultTimes.changeTimeoutMs],
  ['joint-timeout-ms', 'deadline of the joint stage; past it the change is rolled back', defaultTimes.jointTimeoutMs],
  [
    'level-settle-ms',
    'how long all peers must support a feature level before a leader raises it automatically',
    defaultLevelSettleMs,
  ],
  ['removal-notice-ms', 'how long a removed peer is notified of its removal', defaultTimes.removalNoticeMs],
  [
    'snapshot-interval-ms',
    'longest time between snapshots, if anything was applied',
    defaultSnapshots.snapshotIntervalMs,
  ],
  ['client-session-ms', 'idle time after which a client loses its session', defaultTimes.clientSessionMs],
];

const amounts: readonly (readonly [string, string, string, number, number])[] = [
  [
    'snapshot-log-mb',
    'MiB',
    'bytes applied since the last snapshot after which the next one is taken',
    1,
    defaultSnapshots.snapshotLogBytes / MiB,
  ],
  [
    'snapshot-margin-entries',
    'entries',
    'entries before a snapshot that the log keeps for followers that lag a little',
    0,
    defaultSnapshots.snapshotMarginEntries,
  ],
  [
    'snapshot-mb-per-second',
    'MiB',
    'limit for sending snapshots, per second, for this process',
    1,
    defaultSnapshotBytesPerSecond / MiB,
  ],
  [
    'disk-reserve-mb',
    'MiB',
    'with less free disk space than this a peer is read-only',
    0,
    defaultDiskReserveBytes / MiB,
  ],
  [
    'scrub-interval-hours',
    'hours',
    'interval at which a log-store checks all that it stores; 0: never',
    0,
    defaultScrubIntervalHours,
  ],
];

function parseActors(text: string): ActorKind[] {
  const names = distinct(splitList(text), 'an actor');
  return names.map((name) => {
    const kind = actorKinds.find((known) => known === name);
    if (kind === undefined) {
      throw new InvalidArgumentError(
        `${JSON.stringify(name)} is not an actor; the actors are ${actorKinds.join(', ')}.`,
      );
    }
    return kind;
  });
}

function parseGroups(text: string): GroupId[] {
  const names = distinct(splitList(text), 'a group');
  if (names.length > limits.hostedGroups) {
    throw new InvalidArgumentError(`a process hosts at most ${limits.hostedGroups} groups.`);
  }
  return names.map(parseGroup);
}

function distinct(names: readonly string[], what: string): readonly string[] {
  if (names.length === 0) throw new InvalidArgumentError(`name ${what}.`);
  if (new Set(names).size < names.length) throw new InvalidArgumentError(`${what} is named twice.`);
  return names;
}

/** @throws UsageError unless the election timeout is at least two heartbeat intervals */
export function checkTimes({ electionTimeoutMs, heartbeatIntervalMs }: RunOptions): void {
  if (heartbeatIntervalMs * 2 <= electionTimeoutMs) return;
  throw new UsageError(
    `an election timeout of ${electionTimeoutMs} ms is too short for heartbeats every ${heartbeatIntervalMs} ms: ` +
      'it must be at least twice as long, so that one lost heartbeat deposes no leader',
  );
}
