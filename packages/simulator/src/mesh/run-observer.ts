/** Observes a run, and may throw an `InvariantViolation`. */
import type { Instant } from '@conclave/actor/core';
import type { LogStoreCore, StorageOperation } from '@conclave/log-store';
import type { Body, ConclaveEvent, ErrorBody, LogIndex, Message, MessageName, PeerId } from '@conclave/protocol';
import type { Actor } from './actor.js';

export type NodeReply = { readonly result: unknown } | { readonly error: ErrorBody };

/** A client's request to the key-value store, and the history of the node that answered it. */
export interface Served {
  readonly operation: string;
  readonly request: unknown;
  readonly groupUid: string;
}

/** A step of a client: its history before and after the step, and the histories that it has reported as ended. */
export interface ClientStep {
  readonly name: string;
  readonly before: string | undefined;
  readonly after: string | undefined;
  readonly ended: readonly string[];
}

/** Handlers of messages that are sent, by the message's name. */
export type SentHandlers = {
  readonly [N in MessageName]?: (body: Body<N>, from: Actor, to: PeerId) => void;
};

export interface RunObserver {
  onSent?(from: Actor, to: PeerId, message: Message): void;
  /** `serves`: whether the peer's node serves the group's requests when it publishes the event. */
  onEvent?(peerId: PeerId, term: number, event: ConclaveEvent, serves: boolean): void;
  /** `generation`: identifies the state machine that applied it. */
  onApplied?(generation: object, index: LogIndex, payload: Uint8Array): void;
  /** A state machine that is not corrupted has applied the entry of this index, with this result. */
  onResult?(index: LogIndex, result: unknown): void;
  /** A state machine has applied the entry of this index, or (undefined) was restored from a snapshot; `digest`: of its state. */
  onDigest?(index: LogIndex | undefined, digest: string): void;
  /** A state machine was restored from a snapshot; `pieces`: reads its state again. */
  onRestored?(generation: object, pieces: () => readonly Uint8Array[]): void;
  /** A log-store has loaded its log, or synced a write. */
  onSynced?(peerId: PeerId, store: LogStoreCore): void;
  /** A client's message was delivered to a node as this request; `attempt`: the same object for each node that receives it. */
  onDelivered?(attempt: object, requestId: number): void;
  onReplied?(requestId: number, answer: NodeReply): void;
  /** A node sends a client this reply. */
  onServed?(actor: Actor, served: Served, reply: unknown): void;
  /** `client`: identifies this generation of the client's process. */
  onClientStepped?(client: object, step: ClientStep): void;
  /** A core is about to take a step; `at`: by the clock of its process. */
  onStepping?(actor: Actor, input: unknown, at: Instant): void;
  /** A core has taken a step, and its effects were executed. */
  onStepped?(actor: Actor): void;
  /** These operations became durable on a peer's disk, even if the log-store has crashed meanwhile. */
  onWritten?(peerId: PeerId, operations: readonly StorageOperation[]): void;
  /** A peer's disk is lost. */
  onWiped?(peerId: PeerId): void;
}
