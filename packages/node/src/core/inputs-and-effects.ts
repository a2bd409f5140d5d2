/** What goes into a node's core and what comes out of it. */
import type {
  CancelTimer,
  IdleInput,
  Log,
  MessageInput,
  Send,
  SetTimer,
  StateMachine,
  TimerInput,
} from '@conclave/actor/core';
import type {
  AdminCommand,
  ConclaveEvent,
  Consistency,
  Encoding,
  ErrorBody,
  GroupId,
  GroupUid,
  HistoryAnnouncement,
  Levels,
  LogIndex,
  NodeMessage,
  PeerId,
  StatusReply,
  WatchMessage,
} from '@conclave/protocol';

export interface NodeOptions {
  readonly groupId: GroupId;
  readonly peerId: PeerId;
  /** Random for each core: it names the opening of the log-store, and the groups that this node founds. */
  readonly incarnation: string;
  readonly electionTimeoutMs: number;
  readonly heartbeatIntervalMs: number;
  /** For changes without `timeout_ms`. */
  readonly changeTimeoutMs: number;
  readonly jointTimeoutMs: number;
  /** How long a removed peer is still replicated to, so that it learns of its removal. */
  readonly removalNoticeMs: number;
  /** A snapshot is taken when this many bytes of entries have been applied since the last one. */
  readonly snapshotLogBytes: number;
  /** A snapshot is also taken after this time, if an entry has been applied. */
  readonly snapshotIntervalMs: number;
  /** Entries before a snapshot that the log keeps for followers that lag a little. */
  readonly snapshotMarginEntries: number;
  /** The size of the chunks of its snapshots; the default is `limits.snapshotChunkBytes`. */
  readonly snapshotChunkBytes?: number | undefined;
  /** The highest feature level of groups that this node founds; the default is the highest that all listed peers support. */
  readonly foundingLevel?: number | undefined;
  /** The version of the build that this process runs. */
  readonly version?: string | undefined;
  /** The feature levels that this process supports; the default is those of this build. */
  readonly levels?: Levels | undefined;
  /** Whether a leader raises the group's feature level by itself; the default is `auto`. */
  readonly raiseLevel?: 'auto' | 'manual' | undefined;
  /** How long all members must have supported a level before it is raised; the default is `defaultLevelSettleMs`. */
  readonly levelSettleMs?: number | undefined;
}

export interface NodeDependencies {
  readonly stateMachine: StateMachine;
  /** What the previous core knew of its state (`restart`). */
  readonly divergence?: Divergence | undefined;
}

export type NodeTimer =
  | 'tick'
  | 'election'
  | 'apply'
  | 'reads'
  | 'snapshot'
  | 'change'
  | 'transfer'
  | 'watch'
  | 'throttle';

/** A peer with a process that hosts the group. */
export interface GroupHost {
  readonly peer_id: PeerId;
  /** Its node answers service discovery. */
  readonly has_node: boolean;
  /** What the process of its log-stores holds of the group; null: it did not answer, or does not list the group. */
  readonly store: { readonly group_uid: GroupUid; readonly last_index: LogIndex } | null;
}

/** The turn ends. `otherAppends`: the uncommitted appends of the other groups that the process hosts; undefined: 0. */
export interface NodeIdle extends IdleInput {
  readonly otherAppends?: number;
}

export type NodeInput =
  /** The first input, once. */
  | { readonly type: 'start' }
  | MessageInput<NodeMessage>
  | TimerInput<NodeTimer>
  | NodeIdle
  /** An admin command, with a body that has been parsed. `group`: it arrived on the group's subject. */
  | {
      readonly type: 'admin';
      readonly requestId: number;
      readonly addressee: 'group' | 'peer';
      readonly command: AdminCommand;
      readonly body: unknown;
    }
  /** A write for the state machine, on the group's subject. */
  | {
      readonly type: 'propose';
      readonly requestId: number;
      readonly payload: Uint8Array;
      readonly command: unknown;
      /** The trace of the request (`traceparent`), if it has one. */
      readonly trace?: string | undefined;
      /** The version of the command, as the state machine counts; the default is 0. */
      readonly version?: number | undefined;
      /** The history that the request names, if it names one. */
      readonly groupUid?: string | undefined;
    }
  /** A read of the state machine. On a peer's own subject it is always stale. */
  | {
      readonly type: 'read';
      readonly requestId: number;
      readonly addressee: 'group' | 'peer';
      readonly consistency: Consistency;
      readonly query: unknown;
      /** The history that the request names, if it names one. */
      readonly groupUid?: string | undefined;
    }
  /** Starts a watch on the group's subject, or renews it. */
  | ({ readonly type: 'watch' } & WatchInput)
  /** Closes a watch. */
  | ({ readonly type: 'unwatch' } & UnwatchInput)
  /** NATS reports that nobody was subscribed to what was published for a watch. */
  | { readonly type: 'watch_without_subscribers'; readonly watchId: string }
  /** A leader of this or another history under this group name has published which one it leads. */
  | { readonly type: 'led_history'; readonly body: HistoryAnnouncement }
  /** The subscription that `subscribe_feed` last requested is active. */
  | { readonly type: 'feed_subscribed'; readonly peerId: PeerId }
  /** NATS reports that nobody has received the probe of `probe_group`: no peer serves the group's subjects. */
  | { readonly type: 'group_unserved'; readonly probeId: number }
  /** The reply to `ask_group`. `status` null: nobody leads. `hosts` null: not all peers that host the group can be known. */
  | {
      readonly type: 'group_answered';
      readonly askId: number;
      readonly round: number;
      readonly status: StatusReply | null;
      readonly hosts: readonly GroupHost[] | null;
    };

export type NodeEffect =
  | Send
  | SetTimer<NodeTimer>
  | CancelTimer<NodeTimer>
  | Log
  /** Reply to a request: with the reply of an admin command, or the result of the state machine. */
  | { readonly type: 'reply'; readonly requestId: number; readonly result: unknown }
  | { readonly type: 'refuse'; readonly requestId: number; readonly error: ErrorBody }
  /** A request with a trace has come so far: its entry, with this index, is appended or committed. */
  | {
      readonly type: 'trace';
      readonly requestId: number;
      readonly stage: 'appended' | 'committed';
      readonly index: LogIndex;
    }
  | { readonly type: 'event'; readonly event: ConclaveEvent }
  /** Publishes changes for a watch. Effects of one step may share a body, which is encoded once. */
  | {
      readonly type: 'publish';
      readonly watchId: string;
      readonly encoding: Encoding;
      readonly body: WatchMessage;
    }
  /** Publishes which history this peer leads, for the leaders of other histories. */
  | { readonly type: 'publish_led_history'; readonly body: HistoryAnnouncement }
  /** Whether to receive which histories have a leader, although this peer leads none: it is outside the group. */
  | { readonly type: 'subscribe_led_histories'; readonly isWanted: boolean }
  /** Whether to answer on the group's own subjects, and to receive which histories have a leader. */
  | { readonly type: 'serve'; readonly group: boolean }
  /** Stop answering on this peer's own subjects: another node of this peer answers there. */
  | { readonly type: 'leave_subjects' }
  /** Subscribe to the feed of this peer instead of another; empty: to none. */
  | { readonly type: 'subscribe_feed'; readonly peerId: PeerId | '' }
  /** Ask the group's subject for its status, and all peers whether they host the group, listed or not. */
  | { readonly type: 'ask_group'; readonly askId: number; readonly round: number }
  /** Publish a probe on the group's subjects. Nobody answers it; NATS reports if nobody receives it (`group_unserved`). */
  | { readonly type: 'probe_group'; readonly probeId: number }
  /** Restart with a new core and a new state machine: the log-store has restarted, for example. */
  | { readonly type: 'restart'; readonly reason: string; readonly divergence?: Divergence | undefined };

/** Why a member is in quarantine, and what has been done about it. */
export interface Divergence {
  /** The entry after which the state was first found to differ. */
  readonly index: LogIndex;
  /** Repairs that were started. */
  readonly repairs: number;
  /** The repair needs a snapshot of the leader, of this entry or a later one. */
  readonly snapshotFrom?: LogIndex | undefined;
}

/** Starts a watch, or renews it. */
export interface WatchInput {
  readonly requestId: number;
  readonly watchId: string;
  readonly selector: unknown;
  readonly from: number | undefined;
  /** The history that the request names, if it names one. */
  readonly groupUid?: string | undefined;
  /** The encoding of the request, and so of what is published. */
  readonly encoding: Encoding;
}

/** Closes a watch. */
export interface UnwatchInput {
  readonly requestId: number;
  readonly watchId: string;
  /** The history that the request names, if it names one. */
  readonly groupUid?: string | undefined;
}
