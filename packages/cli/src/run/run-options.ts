/** What `conclave run` and `conclave health` are told: options, or the environment. Bad values are refused at once. */
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
import type { LoginFlags } from '../login.js';
import { parseGroup, parsePeer, parsePrefix, splitList, wholeNumber, withLoginOptions } from '../options.js';

/** Which actors of which peer a process hosts, and where they meet the others. */
export interface HostedOptions extends LoginFlags {
  readonly peer: PeerId;
  readonly actors: readonly ActorKind[];
  readonly groups: readonly GroupId[];
  readonly prefix: string;
}

export interface RunOptions extends HostedOptions {
  /** Where a log-store keeps its LevelDB; undefined: a folder of the peer's name in `conclave-data`. */
  readonly dataDir?: string;
  /** Whether messages that stay in the process are also published, for observers. */
  readonly mirror: boolean;
  /** Whether small messages of several groups go as one between two processes. */
  readonly bundle: boolean;
  /** A module and its export that give the state machine; undefined: the key-value store. */
  readonly application?: string;
  readonly logLevel: string;
  /** Whether it starts although another process runs the same node: that one is fenced then. */
  readonly takeOver: boolean;
  /** Logins in a row that NATS may reject before the process ends, until it is connected for the first time; 0: it goes on. */
  readonly natsLoginAttempts: number;
  readonly electionTimeoutMs: number;
  readonly heartbeatIntervalMs: number;
  readonly changeTimeoutMs: number;
  readonly jointTimeoutMs: number;
  readonly farewellMs: number;
  /** Whether a leader raises the group's feature level by itself. */
  readonly raiseLevel: 'auto' | 'manual';
  readonly levelSettleMs: number;
  readonly clientSessionMs: number;
  readonly snapshotLogMb: number;
  readonly snapshotIntervalMs: number;
  readonly snapshotMarginEntries: number;
  /** How fast this process sends snapshots to other peers: MiB a second, all groups together. */
  readonly snapshotMbPerSecond: number;
  /** With less room than this on its disk a peer takes no entries, MiB. */
  readonly diskReserveMb: number;
  /** A log-store reads and checks all that it stores so often; 0: never. */
  readonly scrubIntervalHours: number;
  /** In its place, for tests. */
  readonly scrubIntervalMs?: number;
}

const longestMs = 86_400_000;
const MiB = 1024 * 1024;

/** Where a log-store keeps its data. */
export function dataFolder({ dataDir, peer }: RunOptions): string {
  return path.resolve(dataDir ?? path.join('conclave-data', peer));
}

/** When snapshots are taken, as a node is told. */
export function snapshotOptions(options: RunOptions) {
  return {
    snapshotLogBytes: options.snapshotLogMb * MiB,
    snapshotIntervalMs: options.snapshotIntervalMs,
    snapshotMarginEntries: options.snapshotMarginEntries,
  };
}

/** Adds the options that say which actors are meant. @param isPeerMandatory whether the command means one peer in any case */
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

/** Adds the options of `run` beside those. */
export function withRunOptions(command: Command): Command {
  withHostedOptions(command)
    .addOption(
      new Option('--data-dir <folder>', 'where a log-store keeps its data (default: conclave-data/<peer>)').env(
        'CONCLAVE_DATA_DIR',
      ),
    )
    .addOption(
      new Option('--mirror', 'publish also the messages that stay in this process, for observers')
        .env('CONCLAVE_MIRROR')
        .default(false),
    )
    .addOption(
      new Option('--no-bundle', 'send each small message by itself, also with several groups').env(
        'CONCLAVE_NO_BUNDLE',
      ),
    )
    .addOption(
      new Option(
        '--application <module>',
        'a state machine of your own: a file or package, and "#" with what it exports (default: the key-value store)',
      ).env('CONCLAVE_APPLICATION'),
    )
    .addOption(
      new Option('--log-level <level>', 'the least level that is logged')
        .env('CONCLAVE_LOG_LEVEL')
        .choices(logLevels)
        .default('info'),
    );
  command.addOption(
    new Option(
      '--take-over',
      'start although another process runs the same actors of this peer; never a log-store’s',
    ).default(false),
  );
  command.addOption(
    new Option(
      '--nats-login-attempts <n>',
      'logins in a row that NATS may reject at the start before the process ends; 0: it tries for ever',
    )
      .env('CONCLAVE_NATS_LOGIN_ATTEMPTS')
      .argParser(wholeNumber(0, 1_000_000))
      .default(defaultLoginAttempts),
  );
  command.addOption(
    new Option('--scrub-interval-ms <ms>', 'in the place of the hours, for tests')
      .env('CONCLAVE_SCRUB_INTERVAL_MS')
      .argParser(wholeNumber(1, longestMs))
      .hideHelp(),
  );
  command.addOption(
    new Option(
      '--raise-level <when>',
      'whether a leader raises the feature level by itself, or when an operator says so',
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
  for (const [name, unit, text, least, fallback] of amounts) {
    const variable = `CONCLAVE_${name.toUpperCase().replaceAll('-', '_')}`;
    const option = new Option(`--${name} <${unit}>`, text).env(variable).argParser(wholeNumber(least, mostOf(unit)));
    command.addOption(option.default(fallback));
  }
  return command;
}

function mostOf(unit: string): number {
  return unit === 'MiB' ? Math.floor(Number.MAX_SAFE_INTEGER / MiB) : Number.MAX_SAFE_INTEGER;
}

const times: readonly (readonly [string, string, number])[] = [
  [
    'election-timeout-ms',
    'a follower that hears nothing stands after 1 to 1.4 of these',
    defaultTimes.electionTimeoutMs,
  ],
  ['heartbeat-interval-ms', 'between two heartbeats of a leader', defaultTimes.heartbeatIntervalMs],
  ['change-timeout-ms', 'a change whose new peers have not caught up by then fails', defaultTimes.changeTimeoutMs],
  ['joint-timeout-ms', 'a joint stage that is not committed by then is cancelled', defaultTimes.jointTimeoutMs],
  [
    'level-settle-ms',
    'for how long all peers must have spoken a feature level before a leader raises it by itself',
    defaultLevelSettleMs,
  ],
  ['farewell-ms', 'how long a removed peer is told that it is out', defaultTimes.farewellMs],
  [
    'snapshot-interval-ms',
    'a snapshot is taken after this time, where anything has been applied',
    defaultSnapshots.snapshotIntervalMs,
  ],
  ['client-session-ms', 'a client that did nothing for so long loses its session', defaultTimes.clientSessionMs],
];

const amounts: readonly (readonly [string, string, string, number, number])[] = [
  [
    'snapshot-log-mb',
    'MiB',
    'a snapshot is taken when so much has been applied since the last one',
    1,
    defaultSnapshots.snapshotLogBytes / MiB,
  ],
  [
    'snapshot-margin-entries',
    'entries',
    'what the log keeps before a snapshot, for followers that are a little behind',
    0,
    defaultSnapshots.snapshotMarginEntries,
  ],
  [
    'snapshot-mb-per-second',
    'MiB',
    'what this process sends of snapshots in a second',
    1,
    defaultSnapshotBytesPerSecond / MiB,
  ],
  [
    'disk-reserve-mb',
    'MiB',
    'with less room than this on its disk a peer takes no entries',
    0,
    defaultDiskReserveBytes / MiB,
  ],
  [
    'scrub-interval-hours',
    'hours',
    'a log-store reads and checks all that it stores so often; 0: never',
    0,
    defaultScrubIntervalHours,
  ],
];

function parseActors(text: string): ActorKind[] {
  const names = distinct(splitList(text), 'an actor');
  return names.map((name) => {
    const kind = actorKinds.find((known) => known === name);
    if (kind === undefined) {
      throw new InvalidArgumentError(`${JSON.stringify(name)} is no actor; there are ${actorKinds.join(', ')}.`);
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

/** @throws Error where the times make no sense together. */
export function checkTimes({ electionTimeoutMs, heartbeatIntervalMs }: RunOptions): void {
  if (heartbeatIntervalMs * 2 <= electionTimeoutMs) return;
  throw new UsageError(
    `an election timeout of ${electionTimeoutMs} ms is too short for heartbeats every ${heartbeatIntervalMs} ms: ` +
      'it must be at least twice as long, so that one lost heartbeat deposes no leader',
  );
}
