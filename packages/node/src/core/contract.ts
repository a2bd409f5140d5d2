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
import type { Divergence } from './quarantine.js';
import type { UnwatchInput, WatchInput } from './watches.js';

export interface NodeOptions {
  readonly groupId: GroupId;
  readonly peerId: PeerId;
  /** Drawn at random for each core: names its opening of the log-store, and the groups that it founds. */
  readonly incarnation: string;
  readonly electionTimeoutMs: number;
  readonly heartbeatIntervalMs: number;
  /** For changes that name no `timeout_ms`. */
  readonly changeTimeoutMs: number;
  readonly jointTimeoutMs: number;
  /** How long a removed peer is still told that it is out. */
  readonly removalNoticeMs: number;
  /** A snapshot is taken when so many bytes of entries have been applied since the last one. */
  readonly snapshotLogBytes: number;
  /** And after this time, where anything has been applied. */
  readonly snapshotIntervalMs: number;
  /** Entries before a snapshot that the log keeps for followers that are a little behind. */
  readonly snapshotMarginEntries: number;
  /** Of the snapshots that it takes; `limits.snapshotChunkBytes` where nothing is said. */
  readonly snapshotChunkBytes?: number | undefined;
  /** The highest feature level of groups that this node founds; the highest that all listed peers speak where nothing is said. */
  readonly foundingLevel?: number | undefined;
  /** Of the build that this process runs. */
  readonly version?: string | undefined;
  /** The feature levels that this process speaks; those of this build where nothing is said. */
  readonly levels?: Levels | undefined;
  /** Whether a leader raises the group's level by itself; `auto` where nothing is said. */
  readonly raiseLevel?: 'auto' | 'manual' | undefined;
  /** For how long all must have spoken a level before it does; `defaultLevelSettleMs` where nothing is said. */
  readonly levelSettleMs?: number | undefined;
}

export interface NodeDependencies {
  readonly stateMachine: StateMachine;
  /** What the core before this one knew of its state (`restart`). */
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

/** A peer some process of which hosts the group. */
export interface GroupHost {
  readonly peer_id: PeerId;
  /** Its node answers service discovery. */
  readonly has_node: boolean;
  /** What the process of its log-stores has of the group; null: that did not answer, or its list does not have the group. */
  readonly store: { readonly group_uid: GroupUid; readonly last_index: LogIndex } | null;
}

export type NodeInput =
  /** The first input, once. */
  | { readonly type: 'start' }
  | MessageInput<NodeMessage>
  | TimerInput<NodeTimer>
  | IdleInput
  /** An admin command; its body was parsed at the door. `group`: on the group's subject. */
  | {
      readonly type: 'admin';
      readonly requestId: number;
      readonly door: 'group' | 'peer';
      readonly command: AdminCommand;
      readonly body: unknown;
    }
  /** A write for the state machine, on the group's subject. */
  | {
      readonly type: 'propose';
      readonly requestId: number;
      readonly payload: Uint8Array;
      readonly command: unknown;
      /** Of the command, by the state machine's own count; none: 0. */
      readonly version?: number | undefined;
      /** The history that the request names, if it names one. */
      readonly groupUid?: string | undefined;
    }
  /** A read of the state machine. On a peer's own subject it is always stale. */
  | {
      readonly type: 'read';
      readonly requestId: number;
      readonly door: 'group' | 'peer';
      readonly consistency: Consistency;
      readonly query: unknown;
      /** The history that the request names, if it names one. */
      readonly groupUid?: string | undefined;
    }
  /** Asks for a watch on the group's subject, or for it again. */
  | ({ readonly type: 'watch' } & WatchInput)
  /** Closes a watch. */
  | ({ readonly type: 'unwatch' } & UnwatchInput)
  /** NATS says that nobody was subscribed to what was published for a watch. */
  | { readonly type: 'watch_unheard'; readonly watchId: string }
  /** A leader of some history under this name, maybe of another, has published which one it leads. */
  | { readonly type: 'led_history'; readonly body: HistoryAnnouncement }
  /** Done what `hear_feed` asked for last. */
  | { readonly type: 'hearing_feed'; readonly peerId: PeerId }
  /** Answers `ask_group`. `status` null: nobody leads. `hosts` null: not all who host the group can be known. */
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
  /** Answers a request: with the reply of an admin command, or the result of the state machine. */
  | { readonly type: 'reply'; readonly requestId: number; readonly result: unknown }
  | { readonly type: 'refuse'; readonly requestId: number; readonly error: ErrorBody }
  | { readonly type: 'event'; readonly event: ConclaveEvent }
  /** Publishes for a watch. Effects of one step may have the same body, which is encoded once. */
  | {
      readonly type: 'publish';
      readonly watchId: string;
      readonly encoding: Encoding;
      readonly body: WatchMessage;
    }
  /** Publishes which history this peer leads, for the leaders of others. */
  | { readonly type: 'publish_led_history'; readonly body: HistoryAnnouncement }
  /** Whether to hear which histories are led, though this peer leads none: it is outside the group. */
  | { readonly type: 'hear_leaders'; readonly hear: boolean }
  /** Whether to answer on the group's own subjects, and to hear which histories are led. */
  | { readonly type: 'serve'; readonly group: boolean }
  /** To answer on this peer's own subjects no more: another node of it does. */
  | { readonly type: 'leave_door' }
  /** Whose `feed.append` to hear from now on, and nobody else's; empty: nobody's. */
  | { readonly type: 'hear_feed'; readonly peerId: PeerId | '' }
  /** Asks the group's subject for its status, and everybody whether he hosts the group, listed or not. */
  | { readonly type: 'ask_group'; readonly askId: number; readonly round: number }
  /** The log-store has restarted: begin anew with a new core and a new state machine. */
  | { readonly type: 'restart'; readonly reason: string; readonly divergence?: Divergence | undefined };
