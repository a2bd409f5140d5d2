/**
 * The commands of a scenario: those of a script, and others for preset disks, waiting for a condition, holding messages
 * back, and printing what there is.
 */
import type { Consistency } from '@conclave/protocol';
import type { ClientCommand, Command, OperatorCommand, PeersCommand } from './command.js';

/**
 * Creates a group that has a leader, `n1`: begins a new story, also after another one in the same file. The output of
 * its creation is left out: entries 1 to 4 are its configurations, and its term is 2.
 */
export interface GroupCommand {
  readonly type: 'group';
  readonly peers: readonly string[];
  /** Peers that run and are in no group. */
  readonly spare: readonly string[];
  /** As for `peers`. */
  readonly options: Omit<PeersCommand, 'type' | 'peers'>;
}

/** The time after which each peer campaigns without a leader, in milliseconds from 1000 to below 2000. */
export interface TimeoutsCommand {
  readonly type: 'timeouts';
  readonly ofPeers: ReadonlyMap<string, number>;
}

/** The content of a peer's disk before the peers start. Entry 1 is the configuration of `peers`, all others are writes. */
export interface GivenCommand {
  readonly type: 'given';
  readonly peer: string;
  /** The term of each entry, from index 1. */
  readonly terms: readonly number[];
  /** The synced term; at least that of the last entry. */
  readonly term: number;
  readonly vote: string;
  readonly commit: number;
  /** The configuration in entry 1; none: all peers. */
  readonly peers: readonly string[];
  /** Whether it is the log of another history. */
  readonly foreign: boolean;
}

export type Condition =
  /** A peer, or this one, serves the group. */
  | { readonly type: 'leader'; readonly peer: string | undefined }
  | { readonly type: 'no_leader' }
  /** The leader's change is at this stage. */
  | { readonly type: 'stage'; readonly stage: string }
  | { readonly type: 'role'; readonly peer: string; readonly role: string }
  /** A number of the peer's status, or `stored` (the last index on its disk), is at least this. */
  | { readonly type: 'number'; readonly peer: string; readonly of: NumberOfPeer; readonly atLeast: number }
  /** The peer publishes this event, from now on. */
  | { readonly type: 'event'; readonly peer: string; readonly event: string }
  /** This many messages are held under this name. */
  | { readonly type: 'kept'; readonly name: string; readonly count: number }
  /** All requests are answered. */
  | { readonly type: 'answered' };

export const numbersOfPeer = ['term', 'commit', 'last', 'applied', 'stored'] as const;
export type NumberOfPeer = (typeof numbersOfPeer)[number];

/** Runs until this holds. */
export interface UntilCommand {
  readonly type: 'until';
  readonly condition: Condition;
  readonly within: number;
}

/** A request to the leader without a client's session: its reply is the leader's own. */
export interface PlainRequest {
  readonly type: 'plain';
  readonly operation: 'put' | 'get';
  readonly key: string;
  readonly value: string;
  /** Of a get: its consistency, as in `get a by lease`. */
  readonly by: Consistency | undefined;
}

/** The same to a peer, whatever its role; a command is sent to the peer's own subject. */
export interface AskCommand {
  readonly type: 'ask';
  readonly peer: string;
  readonly what: PlainRequest | OperatorCommand;
}

/** A request that gets a reply: the output of a scenario prints each reply with its request. */
export type AnsweredRequest = PlainRequest | ClientCommand | OperatorCommand;

/** Runs until the reply to this request arrives. */
export interface AwaitCommand {
  readonly type: 'await';
  readonly what: AnsweredRequest | AskCommand;
  readonly within: number;
}

/** Prints something of these peers; none: of all. */
export interface LookCommand {
  readonly type: 'status' | 'progress' | 'changes' | 'dropped';
  readonly peers: readonly string[];
}

/** Prints the disks: the term of each entry, and the configurations. */
export interface LogCommand {
  readonly type: 'log';
  readonly peers: readonly string[];
  /** The first index to print. */
  readonly from: number;
}

/** Which messages a rule is about. */
export interface Pattern {
  /** `*`, `n1` or `n1.node`. */
  readonly from: string;
  readonly to: string;
  /** The end of the message's name, or `*`. */
  readonly message: string;
  /** Fields of the body and what they must be. `entries=yes|no`: whether it carries any. */
  readonly fields: Readonly<Record<string, string>>;
}

/** Prints a value in the state machines. */
export interface ValueCommand {
  readonly type: 'value';
  readonly key: string;
  readonly peers: readonly string[];
}

export interface KeepCommand {
  readonly type: 'hold' | 'copy' | 'lose';
  readonly name: string;
  readonly pattern: Pattern;
}

/** `newest`: only this many of the last held messages. */
export interface EndKeepingCommand {
  readonly type: 'release' | 'drop';
  readonly name: string;
  readonly newest: number | undefined;
}

/** Which events are printed. */
export interface EventsCommand {
  readonly type: 'show' | 'hide';
  readonly events: readonly string[];
}

/** Whether NATS reports to probes that nobody serves the group; at first it does not, as if the leader's machine were lost. */
export interface ReportsCommand {
  readonly type: 'reports';
  readonly on: boolean;
}

export type ScenarioOnlyCommand =
  | GroupCommand
  | TimeoutsCommand
  | GivenCommand
  | UntilCommand
  | PlainRequest
  | AskCommand
  | AwaitCommand
  | LookCommand
  | LogCommand
  | ValueCommand
  | KeepCommand
  | EndKeepingCommand
  | EventsCommand
  | ReportsCommand;

export type ScenarioCommand = Command | ScenarioOnlyCommand;
