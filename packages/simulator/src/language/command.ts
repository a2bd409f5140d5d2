/**
 * Everything that a run does from outside, as one closed union: processes, network, disks, NATS, clients, operators.
 * A random run and a scenario are both lists of these. `parse-command.ts` and `format-command.ts` turn them into lines
 * of text and back.
 *
 * Names: `n1` is a peer, `n1.node` one of its actors (`n1.rival`: a second node for the peer), `c1` a client, `s1` a
 * NATS server, `all` every peer, `leader` the peer that leads at that moment (`leader.node`), if one does.
 */

import type { StatePart } from '../mesh/flipped-state.js';

/** Creates the mesh; the first command, once. The peers start, holding nothing. */
export interface PeersCommand {
  readonly type: 'peers';
  readonly peers: readonly string[];
  /** A client's session that did nothing for so long, in milliseconds, expires. */
  readonly session?: number | undefined;
  /** 1: messages between actors are encoded, decoded and parsed on the way. */
  readonly wire?: number | undefined;
  /** A snapshot is taken when so many bytes of entries have been applied since the last one; */
  readonly snapshot?: number | undefined;
  /** and after so many milliseconds. */
  readonly every?: number | undefined;
  /** Entries before a snapshot that the log keeps. */
  readonly keep?: number | undefined;
  /** Bytes of a chunk of a snapshot. */
  readonly chunk?: number | undefined;
  /** Bytes of snapshots that a replicator sends in a second. */
  readonly pace?: number | undefined;
  /** 1: all peers begin with the older build, which speaks feature level 0 alone. */
  readonly old?: number | undefined;
  /** For so many milliseconds all must have spoken a feature level before a leader raises it by itself. */
  readonly settle?: number | undefined;
  /** The number of the peer whose processes have an election timeout half as long again as all others; none: all have the same. */
  readonly slower?: number | undefined;
}

/** The options of a mesh, by their names in a script. */
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

/** Of each message from now on; what is not named stays as it was. */
export interface NetworkCommand {
  readonly type: 'network';
  /** Chance to be lost. */
  readonly loss?: number | undefined;
  /** Chance to be delivered twice, the second time late. */
  readonly repeat?: number | undefined;
  /** Delivery takes up to so many milliseconds. */
  readonly delay?: number | undefined;
  /** A turn of an actor, in which what arrives is taken before it is told that it runs idle, is up to so many milliseconds. */
  readonly turn?: number | undefined;
}

/**
 * Lets this many milliseconds of virtual time pass. `until=heal`: or fewer, as the joint stage of a replacement of a lost
 * store begins; `until=elected`: as a leader is elected.
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

/** Processes are restarted with another build; those that are down start with it next time. */
export interface BuildCommand {
  readonly type: 'build';
  readonly build: 'old' | 'new';
  readonly targets: readonly string[];
}

/** Starts a second node for a peer that has one. */
export interface DuplicateNodeCommand {
  readonly type: 'duplicate-node';
  readonly peer: string;
}

/** The peer crashes and loses its disk. */
export interface WipeCommand {
  readonly type: 'wipe';
  readonly peer: string;
  /** Only if every configuration that may be in force has its quorum without this peer. */
  readonly ifSpare: boolean;
  /** Only if another disk, undamaged, has a log: so that somebody knows of the group, whatever its quorum. */
  readonly ifHeld?: true | undefined;
}

/** A copy of the peer's disk is kept, as it is now; or the peer crashes, and the copy takes the place of its disk. */
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

/** Nothing passes between the groups of names any more; one way: from the first to the second. `cut s1 s2`: a route. */
export interface CutCommand {
  readonly type: 'cut';
  readonly groups: readonly (readonly string[])[];
  readonly oneWay: boolean;
}

/**
 * Messages of one name, or from one actor to another, arrive `ms` milliseconds late from now on, behind whatever is sent after
 * them.
 */
export type DelayCommand = { readonly type: 'delay'; readonly ms: number } & (
  | { readonly message: string }
  | { readonly from: string; readonly to: string }
);

/** All cuts are over, those of routes too, and nothing is late any more. */
export interface ReconnectCommand {
  readonly type: 'reconnect';
}

/**
 * `delay`: each access of the peer's disk takes up to so many milliseconds. `fail`: its next write fails. `free`: so many
 * MiB of it are free.
 */
export interface DiskCommand {
  readonly type: 'disk';
  readonly peer: string;
  readonly delay?: number | undefined;
  readonly free?: number | undefined;
  readonly fail: boolean;
}

export const diskParts = ['meta', 'entry', 'term', 'configuration', 'chunk'] as const;
/** What stands on a disk: the record that a group has once, a batch of entries, a run of a term, a configuration, a chunk. */
export type DiskPart = (typeof diskParts)[number];

/** One bit of what is stored flips: in the record that holds `index`, or in the last one before it. */
export interface FlipCommand {
  readonly type: 'flip';
  readonly peer: string;
  readonly part: DiskPart;
  readonly index: number;
  /** As for `wipe`. */
  readonly ifSpare: boolean;
}

/**
 * Something in the state machine of the peer's node is not as its log says any more. Only if a majority of its configuration is right
 * without it, and can tell: three members at least, and no other's state is wrong.
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

/** A call of a client, which nobody waits for. */
export type ClientCommand = {
  readonly type: 'client';
  readonly client: string;
} /** `lease`: the client's lease of this name, to which the key is tied; nothing where it was told no id. */ & (
  | { readonly operation: 'put'; readonly key: string; readonly value: string; readonly lease?: string | undefined }
  /** `at`: of this peer, stale unless `by` says otherwise. `by`: how it is to be made sure that nothing newer is there. */
  | {
      readonly operation: 'get';
      readonly key: string;
      readonly at?: string | undefined;
      readonly by?: 'quorum' | 'lease' | undefined;
    }
  | { readonly operation: 'delete'; readonly key: string }
  /** `last`: the revision of the key that the client has seen last. */
  | {
      readonly operation: 'cas';
      readonly key: string;
      readonly revision: number | 'last';
      readonly value: string;
    }
  /** If the key has that revision sets it and the other key, whose value it then reads; else reads it and deletes the other. */
  | {
      readonly operation: 'txn';
      readonly key: string;
      readonly other: string;
      readonly revision: number | 'last';
      readonly value: string;
    }
  /** Asks for the lock of this name, and waits in its queue; by the client's lease, which it has granted first. */
  | { readonly operation: 'lock'; readonly key: string }
  /** Gives it back with the token that the client was told last; nothing where it was told none. */
  | { readonly operation: 'unlock'; readonly key: string }
  /** Has a lease granted, which the client knows by this name (`key`). */
  | { readonly operation: 'grant'; readonly key: string; readonly ttl: number }
  /** Keeps it, or ends it. */
  | { readonly operation: 'keep' | 'revoke'; readonly key: string }
);

/** Somebody watches the keys with this prefix (empty: all), from the first revision on, until the run ends. */
export interface WatchCommand {
  readonly type: 'watch';
  readonly prefix: string;
}

/** A command of the operator, which nobody waits for. */
export type OperatorCommand =
  | {
      readonly type: 'bootstrap';
      readonly at: string;
      readonly peers: readonly string[];
      readonly timeout?: number | undefined;
      /** A new group, also where others hold an earlier one of that name. */
      readonly isNew?: boolean | undefined;
    }
  /** `reset_peer`: `at` goes on with these alone. */
  | { readonly type: 'reset'; readonly at: string; readonly peers: readonly string[] }
  | { readonly type: 'change'; readonly peers: readonly string[]; readonly timeout?: number | undefined }
  | { readonly type: 'add' | 'remove'; readonly peer: string; readonly timeout?: number | undefined }
  | { readonly type: 'cancel' }
  /** `upgrade` with `raise`: the feature level. */
  | { readonly type: 'raise' }
  /** Whether the peer is to take no entries. */
  | { readonly type: 'read-only'; readonly peer: string; readonly on: boolean }
  /** The peer takes a snapshot now. */
  | { readonly type: 'snapshot'; readonly peer: string }
  | { readonly type: 'transfer'; readonly peer?: string | undefined };

/**
 * The quorum is gone for good: whoever is left goes on without the others, and what the rest holds is discarded. Where the
 * quorum is there nothing happens. `alone`: one peer goes on, also where more could. `now`: also where the quorum is there,
 * as an operator does who does not wait for it.
 */
export interface ResetSurvivorsCommand {
  readonly type: 'reset-survivors';
  readonly alone: boolean;
  readonly now?: true | undefined;
}

/**
 * The group is deleted at all peers at one moment and founded anew under its name (`bootstrap --new`), at the first of these, while
 * its clients stay. Nothing happens where nothing is committed.
 */
export interface RecreateCommand {
  readonly type: 'recreate';
  readonly peers: readonly string[];
  /** With the backup that was read last; where there is none, nothing happens. */
  readonly backup?: true | undefined;
}

/** A backup is read from the snapshot that the peer has, and kept in the place of the one before. */
export interface BackupCommand {
  readonly type: 'backup';
  readonly peer: string;
}

/** All faults end, what is down starts, and the group must come back, end every change and answer everything. */
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
