/** What a node applies committed entries to, and the door through which clients reach it. */
import type { Consistency, LogIndex, Term } from '@conclave/protocol';

/** Deterministic: the same payloads in the same order give the same state and results on every peer. */
export interface StateMachine {
  /**
   * Applies one committed entry and answers its result. Bad input is a result, not an exception: what throws
   * stops the node.
   * @param command what the service decoded the payload to, where this peer has it at hand; the same as decoding it.
   */
  apply(index: LogIndex, payload: Uint8Array, command?: unknown): unknown;
  /** Answers a read of the state as it is. */
  query(query: unknown): unknown;
  /**
   * What the leader should propose of its own accord, say to let idle clients' sessions expire: a payload, or
   * undefined. Called about once a second on the leader. What was timed in another term was timed by another leader.
   */
  housekeeping?(nowMs: number, term: Term): Uint8Array | undefined;
  /**
   * The whole state as it is at this call, as pieces of at most `limits.snapshotPieceBytes`. The first piece is drawn at
   * once, the others one by one while further entries are applied: what these change must not show. An iterator that is
   * given up gets `return()`.
   */
  snapshot(): Iterator<Uint8Array, void>;
  /** Forgets the state; then takes the pieces of a snapshot, as they were given and in their order. */
  restore(): StateMachineRestore;
}

/** A restore that has begun. What throws stops the node. */
export interface StateMachineRestore {
  take(piece: Uint8Array): void;
  /** There are no more. */
  end(): void;
}

/** A client's request, understood. */
export type ServiceRequest =
  | {
      readonly type: 'write';
      readonly payload: Uint8Array;
      readonly command: unknown;
      /** Makes the reply of the result of `apply`. @throws ConclaveError */
      readonly reply: (result: unknown) => unknown;
    }
  | {
      readonly type: 'read';
      /** Undefined: as it goes without saying, `linearizable` from the group, `stale` from a peer that is asked itself. */
      readonly consistency: Consistency | undefined;
      readonly query: unknown;
      /** Makes the reply of the result of `query`. @throws ConclaveError */
      readonly reply: (result: unknown) => unknown;
    };

/** The door of a state machine: checks and understands requests. */
export interface Service {
  /** @throws ConclaveError EINVAL, ENOENT. */
  parse(operation: string, body: unknown): ServiceRequest;
}

/** What a user brings to `conclave run --application`: what the entries of a group mean. */
export interface Application {
  readonly service: Service;
  /** A state machine as new: for each group, and again whenever its node starts over. */
  makeStateMachine(): StateMachine;
}
