/** What must happen at least once in a set of runs: if a fault never happens, the runs do not test it. */
import { actorKinds, events, Stage } from '@conclave/protocol';
import { diskParts } from '../language/command.js';
import { stateParts } from '../mesh/corrupted-state.js';

const faults = [
  'message lost',
  'message repeated',
  'message overtaken by one of another link',
  'message cut off by a partition',
  'probe received by a leader',
  'probe unserved',
  'probe unserved, though a node leads',
  'message cut off, one way',
  'message cut off between the actors of a peer',
  'message lost: no connection to NATS',
  'message lost: its NATS server or the route went away',
  'NATS server went away',
  'all NATS servers gone',
  'route between NATS servers cut',
  'input delayed by a pause',
  'clock skewed',
  ...actorKinds.map((kind) => `crash of a ${kind}`),
  'crash of everything',
  'crash of a client',
  'second node started for a peer',
  'crash of a duplicate-node',
  'unsynced write lost in a crash',
  'write kept though its process crashed',
  'access of a slow disk',
  'write failed',
  ...diskParts.map((part) => `bit flipped in a ${part}`),
  'flipped bit found',
  'disk lost',
  ...stateParts.map((part) => `state corrupted: a ${part}`),
  'corrupted state restored from a snapshot',
  'read-only: disk',
  'read-only: told',
  'leader and its predecessor are read-only',
  'quorum lost, one survivor',
  'reset although the quorum exists',
  'link delayed',
  'node.timeout_now delayed',
  'node.append_entries delayed',
  'feed.append delayed',
  'append while a snapshot replaces the log',
  'new peer asks for slower writers',
  'dropped: timeout_now_stale',
  'dropped: feed_append_without_previous',
  'dropped: feed_append_busy',
  'dropped: echo_of_unconfirmed_session',
  ...actorKinds.flatMap((kind) => [`${kind} restarted with the newer build`, `${kind} restarted with the older build`]),
];

const changing = Stage.options.filter((stage) => stage !== 'none');

const stages = [
  ...Stage.options.flatMap((stage) => [`stage ${stage}`, `stage ${stage} of a replacement`]),
  ...changing.flatMap((stage) => actorKinds.map((kind) => `crash of the leader's ${kind} while ${stage}`)),
];

/** Crashes during snapshots, and their outcomes. */
const snapshots = [
  ...(['node', 'log-store'] as const).flatMap((kind) => [
    `crash of a ${kind} while a snapshot is taken`,
    `crash of a ${kind} while a snapshot comes in`,
    `crash of a ${kind} while the state is restored`,
  ]),
  ...actorKinds.map((kind) => `crash of the leader's ${kind} while it sends a snapshot`),
  'snapshot taken in several chunks',
  'snapshot installed in several chunks',
  'snapshot transfer resumed after a restart',
  'log compacted',
  'state restored from a snapshot',
];

const eventsOfARun = [
  // Forced commands are published by the shell, which a run does not have.
  ...Object.keys(events)
    .filter((event) => event !== 'lock_forced' && event !== 'lease_forced' && event !== 'admin_command')
    .map((event) => `event ${event}`),
  'log truncated',
  'client session expired',
  'node restarted with a new core',
  'fenced node started again',
  'request received by two nodes',
  'request without responders',
  'group continues in a new history',
  'data of an abandoned history discarded',
  'group recovered',
  'write after all faults',
  'survivors reset',
  'two histories have stopped each other',
  'group deleted and created again',
  'backup read',
  'group restored from a backup',
  'client learns of an election',
  'client reports the end of a history',
];

const lastingFaults = [
  'a dead follower',
  'a paused follower',
  'no messages from the leader',
  'no messages to the leader',
  'no messages between followers',
].map((fault) => `lasting fault: ${fault}`);

const answers = [
  ...['put', 'get', 'delete', 'cas'].flatMap((operation) => [
    `answer ${operation} ok`,
    `answer ${operation} not_done ETIMEDOUT`,
  ]),
  ...['put', 'delete', 'cas'].map((operation) => `answer ${operation} unknown ETIMEDOUT`),
  'answer stale get ok',
  'answer lease get ok',
  'answer follower get ok',
  'answer follower lease get ok',
  'cas swapped',
  'cas not swapped',
  'answer txn ok',
  'answer txn unknown ETIMEDOUT',
  'txn found what it expects',
  'txn found something else',
  'watcher received: changes',
  'watcher received: gap',
  'watcher received: ended',
  'watcher restarts',
  'watch closed',
  'watch refused to another client',
  'watch beyond the limit of its client refused',
  'lock acquired',
  'lock waited for',
  'lock released',
  'lock lost before its release',
  'answer unlock not_done EINVAL',
  ...['grant', 'keep', 'revoke'].map((operation) => `answer ${operation} ok`),
  'answer keep not_done ENOENT',
  'key tied to a lease',
  'lease revoked',
  'lease ended before it was kept',
  'lease ended before it was revoked',
  'lease ended at its time',
  'remaining time of a lease logged',
  'answer change ok',
  'answer change not_done ECATCHUP',
  'answer change not_done ECANCELED',
  'answer change not_done EBUSY',
  'answer change unknown ETIMEDOUT',
  'answer add ok',
  'answer remove ok',
  'answer cancel ok',
  'answer cancel not_done ENOENT',
  'answer transfer ok',
  'answer bootstrap ok',
  'answer bootstrap not_done ENOTEMPTY',
  'answer bootstrap not_done EUNREACHABLE',
  'answer snapshot ok',
  'answer snapshot not_done EBUSY',
  'answer snapshot not_done ENOENT',
  'answer read-only ok',
  'answer reset ok',
  'answer raise ok',
  'answer raise not_done EUNSUPPORTED',
  'answer put not_done EREADONLY',
];

export const expectedCoverage: readonly string[] = [
  ...faults,
  ...stages,
  ...snapshots,
  ...eventsOfARun,
  ...lastingFaults,
  ...answers,
];

/** Returns what has never happened. */
export function missingCoverage(coverage: Readonly<Record<string, number>>): string[] {
  return expectedCoverage.filter((what) => (coverage[what] ?? 0) === 0);
}
