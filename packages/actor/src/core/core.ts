/**
 * A core is `step(input, at) -> effects`: synchronous and deterministic. It reads no clock, draws no random numbers, does no I/O
 * and awaits nothing. Its state may change in place; everything to be done outside is returned as an effect.
 */
import type { Message, PeerId } from '@conclave/protocol';

/** The time of a step, and a random number for it. Inputs, so that a run can be repeated. */
export interface Instant {
  /** Milliseconds on the process's monotonic clock. */
  readonly nowMs: number;
  /** Milliseconds since 1970, for people to read; no decision depends on it. */
  readonly wallTimeMs: number;
  /** Uniform in [0, 1), new for each step. */
  readonly random: number;
}

/** Sends a message to an actor of a peer, or to its feed: the first part of the name is the actor or `feed`. */
export interface Send<M extends Message = Message> {
  readonly type: 'send';
  readonly peerId: PeerId;
  readonly message: M;
}

/** Sets a timer; replaces a running one of the same name. */
export interface SetTimer<T extends string = string> {
  readonly type: 'set_timer';
  readonly timer: T;
  readonly afterMs: number;
}

/** Stops a timer: it will not fire any more. */
export interface CancelTimer<T extends string = string> {
  readonly type: 'cancel_timer';
  readonly timer: T;
}

/** A line for the log of the process. */
export interface Log {
  readonly type: 'log';
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly text: string;
  readonly fields?: Readonly<Record<string, unknown>>;
}

/** A message was received and parsed. */
export interface MessageInput<M extends Message = Message> {
  readonly type: 'message';
  readonly message: M;
}

/** A timer has fired. */
export interface TimerInput<T extends string = string> {
  readonly type: 'timer';
  readonly timer: T;
}

/** The turn ends, even if more messages wait: collected work can be sent now. */
export interface IdleInput {
  readonly type: 'idle';
}

/** A synchronous, deterministic actor. A step that throws stops the actor: see `invariant`. */
export interface Core<Input, Effect> {
  step(input: Input, at: Instant): readonly Effect[];
  /** What was dropped, by reason. */
  readonly dropped?: Readonly<Record<string, number>>;
}
