/**
 * All commands of a script, as one closed union: for processes, network, disks, NATS, clients and operators. A random
 * run is a list of these; a scenario has those of `scenario-command.ts` besides. `parse-command.ts` parses the lines of
 * both, and `format-command.ts` formats them.
 *
 * Names: `n1` is a peer, `n1.node` one of its actors (`n1.duplicate-node`: a second node of the peer), `c1` a client,
 * `s1` a NATS server, `all` every peer, `leader` the peer that leads at that time (`leader.node`), if there is one.
 */

import type { StatePart } from '../mesh/corrupted-state.js';

/** Creates the mesh: the first command, used once. The peers start empty. */
export interface PeersCommand {
  readonly type: 'peers';
  readonly peers: readonly string[];
  /** Idle sessions of clients expire after this many milliseconds. */
  readonly session?: number | undefined;
  /** 1: messages between actors are encoded, decoded and parsed in transit. */
  readonly wire?: number | undefined;
  /** A snapshot is taken after this many bytes of applied entries; */
  readonly snapshot?: number | undefined;
  /** and after this many milliseconds. */
  readonly every?: number | undefined;
  /** Entries before a snapshot that the log keeps. */
  readonly keep?: number | undefined;
  /** Bytes of a chunk of a snapshot. */
  readonly chunk?: number | undefined;
  /** Bytes of snapshots that a replicator sends in a second. */
  readonly pace?: number | undefined;
  /** 1: all peers begin with the older build, which supports feature level 0 only. */
  readonly old?: number | undefined;
  /** All members must have supported a feature level for this many milliseconds before a leader raises it by itself. */
  readonly settle?: number | undefined;
  /** The number of the peer with an election timeout of 1.5 times that of all others; undefined: all have the same. */
  readonly slower?: number | undefined;
}

/** The names of the mesh's options in a script. */
export const meshOptions = [
  'session',
  'wire',
  'snapshot',
  'every',
  'keep',
  'chunk',
  'pace',
  'old',
  'settle',
  'slower',
] as const;

/** Conditions of each message from now on; options that are not named stay as they are. */
export interface NetworkCommand {
  readonly type: 'network';
  /** Probability to be lost. */
  readonly loss?: number | undefined;
  /** Probability to be delivered twice, the second time late. */
  readonly repeat?: number | undefined;
  /** Maximum milliseconds of a delivery. */
  readonly delay?: number | undefined;
  /** Maximum milliseconds of an actor's turn, in which it receives inputs before it receives `idle`. */
  readonly turn?: number | undefined;
}

/**
 * Lets this many milliseconds of virtual time pass, or fewer: `until=heal`: until the joint stage of the replacement of
 * a lost store begins; `until=elected`: until a leader is elected.
 */
export interface RunCommand {
  readonly type: 'run';
  readonly ms: number;
  readonly until?: RunUntil | undefined;
}

export const runUntil = ['heal', 'elected'] as const;
export type RunUntil = (typeof runUntil)[number];

/** `crash`, `start`, `pause`, `resume`: of actors, peers, clients (a crash alone), or `all`. */
export interface ProcessCommand {
  readonly type: 'crash' | 'start' | 'pause' | 'resume';
  readonly targets: readonly string[];
}

/** Restarts processes with another build; those that are down use it at their next start. */
export interface BuildCommand {
  readonly type: 'build';
  readonly build: 'old' | 'new';
  readonly targets: readonly string[];
}

/** Starts a second node of a peer. */
export interface DuplicateNodeCommand {
  readonly type: 'duplicate-node';
  readonly peer: string;
}

/** The peer crashes and loses its disk. */
export interface WipeCommand {
  readonly type: 'wipe';
  readonly peer: string;
  /** Only if every configuration that may be effective has its quorum without this peer. */
  readonly ifSpare: boolean;
  /** Only if another, undamaged disk has a log: so that some peer knows the group, whatever its quorum. */
  readonly ifHeld?: true | undefined;
}

/** `copy-disk`: copies the peer's disk as it is now. `restore-disk`: the peer crashes, and the copy replaces its disk. */
export interface CopyCommand {
  readonly type: 'copy-disk' | 'restore-disk';
  readonly peer: string;
}

/** The actor's clock jumps forward by `offset` milliseconds, and runs `rate` times as fast from now on. */
export interface SkewCommand {
  readonly type: 'skew';
  readonly target: string;
  readonly rate: number;
  readonly offset: number;
}

/** Cuts all links between the groups of names; one way: from the first to the second. `cut s1 s2`: a route. */
export interface CutCommand {
  readonly type: 'cut';
  readonly groups: readonly (readonly string[])[];
  readonly oneWay: boolean;
}

/**
 * Delays messages of one name, or from one actor to another, by `ms` milliseconds from now on; messages of a delayed
 * name are overtaken by later ones.
 */
export type DelayCommand = { readonly type: 'delay'; readonly ms: number } & (
  | { readonly message: string }
  | { readonly from: string; readonly to: string }
);

/** Delays all messages between this peer and others by `ms` milliseconds from now on; 0: no longer. */
export interface SlowCommand {
  readonly type: 'slow';
  readonly peer: string;
  readonly ms: number;
}

/** Ends all cuts, also those of routes, and all delays. */
export interface ReconnectCommand {
  readonly type: 'reconnect';
}

/**
 * `delay`: each access of the peer's disk takes up to this many milliseconds. `fail`: its next write fails. `free`:
 * free space in MiB.
 */
export interface DiskCommand {
  readonly type: 'disk';
  readonly peer: string;
  readonly delay?: number | undefined;
  readonly free?: number | undefined;
  readonly fail: boolean;
}

export const diskParts = ['meta', 'entry', 'term', 'configuration', 'chunk'] as const;
/** The kinds of records on a disk: the group's single record, a batch of entries, a run of a term, a configuration, a chunk. */
export type DiskPart = (typeof diskParts)[number];

/** Flips one stored bit: in the record that contains `index`, or in the last one before it. */
export interface FlipCommand {
  readonly type: 'flip';
  readonly peer: string;
  readonly part: DiskPart;
  readonly index: number;
  /** As for `wipe`. */
  readonly ifSpare: boolean;
}

/**
 * Corrupts the state machine of the peer's node. Only if the other members can detect and repair it: three members at
 * least, and no other state is corrupted.
 */
export interface CorruptCommand {
  readonly type: 'corrupt';
  readonly peer: string;
  readonly part: StatePart;
}

export interface NatsCommand {
  readonly type: 'nats';
  readonly state: 'down' | 'up';
  readonly server: string;
}

/** A call of a client; the script does not wait for it. */
export type ClientCommand = {
  readonly type: 'client';
  readonly client: string;
} /** `lease`: the client's lease of this name, to which the key is tied; nothing if it has received no id. */ & (
  | { readonly operation: 'put'; readonly key: string; readonly value: string; readonly lease?: string | undefined }
  /** `at`: at this peer, stale unless `by` is given. `by`: how the read is confirmed. */
  | {
      readonly operation: 'get';
      readonly key: string;
      readonly at?: string | undefined;
      readonly by?: 'quorum' | 'lease' | undefined;
    }
  | { readonly operation: 'delete'; readonly key: string }
  /** `last`: the last revision of the key that the client has seen. */
  | {
      readonly operation: 'cas';
      readonly key: string;
      readonly revision: number | 'last';
      readonly value: string;
    }
  /** If the key has that revision: sets it and the other key, and reads the other; otherwise reads it and deletes the other. */
  | {
      readonly operation: 'txn';
      readonly key: string;
      readonly other: string;
      readonly revision: number | 'last';
      readonly value: string;
    }
  /** Requests the lock of this name, and waits in its queue; by the client's lease, which is granted first. */
  | { readonly operation: 'lock'; readonly key: string }
  /** Releases it with the last token that the client received; without one it tries another client's token. */
  | { readonly operation: 'unlock'; readonly key: string }
  /** Grants a lease, which the client knows by this name (`key`). */
  | { readonly operation: 'grant'; readonly key: string; readonly ttl: number }
  /** Keeps it, or ends it. */
  | { readonly operation: 'keep' | 'revoke'; readonly key: string }
);

/** Watches the keys with this prefix (empty: all), from the first revision on, until the run ends. */
export interface WatchCommand {
  readonly type: 'watch';
  readonly prefix: string;
}

/** A command of the operator; the script does not wait for it. */
export type OperatorCommand =
  | {
      readonly type: 'bootstrap';
      readonly at: string;
      readonly peers: readonly string[];
      readonly timeout?: number | undefined;
      /** Creates a new group even if peers have an earlier one of that name. */
      readonly isNew?: boolean | undefined;
    }
  /** `reset_peer`: `at` continues with these peers only. */
  | { readonly type: 'reset'; readonly at: string; readonly peers: readonly string[] }
  | { readonly type: 'change'; readonly peers: readonly string[]; readonly timeout?: number | undefined }
  | { readonly type: 'add' | 'remove'; readonly peer: string; readonly timeout?: number | undefined }
  | { readonly type: 'cancel' }
  /** `upgrade` with `raise`: the feature level. */
  | { readonly type: 'raise' }
  /** Whether the peer becomes read-only. */
  | { readonly type: 'read-only'; readonly peer: string; readonly on: boolean }
  /** The peer takes a snapshot now. */
  | { readonly type: 'snapshot'; readonly peer: string }
  | { readonly type: 'transfer'; readonly peer?: string | undefined };

/**
 * For a quorum that is lost for good: resets the survivors, and discards the data of all other peers. Does nothing if
 * the quorum exists. `alone`: resets one peer, even if more could be. `now`: also if the quorum exists, as an impatient
 * operator does.
 */
export interface ResetSurvivorsCommand {
  readonly type: 'reset-survivors';
  readonly alone: boolean;
  readonly now?: true | undefined;
}

/**
 * Deletes the group at all peers at once and creates it again under its name (`bootstrap --new`) at the first of these
 * peers, while its clients stay. Does nothing if nothing is committed.
 */
export interface RecreateCommand {
  readonly type: 'recreate';
  readonly peers: readonly string[];
  /** From the last backup; does nothing if there is none. */
  readonly backup?: true | undefined;
}

/** Reads a backup from the peer's snapshot, which replaces the previous backup. */
export interface BackupCommand {
  readonly type: 'backup';
  readonly peer: string;
}

/** Ends all faults and starts what is down: the group must recover, end every change and answer every request. */
export interface QuiesceCommand {
  readonly type: 'quiesce';
}

export type Command =
  | PeersCommand
  | NetworkCommand
  | RunCommand
  | ProcessCommand
  | DuplicateNodeCommand
  | BuildCommand
  | WipeCommand
  | CopyCommand
  | SkewCommand
  | CutCommand
  | DelayCommand
  | SlowCommand
  | ReconnectCommand
  | DiskCommand
  | FlipCommand
  | CorruptCommand
  | NatsCommand
  | ClientCommand
  | WatchCommand
  | OperatorCommand
  | ResetSurvivorsCommand
  | RecreateCommand
  | BackupCommand
  | QuiesceCommand;
