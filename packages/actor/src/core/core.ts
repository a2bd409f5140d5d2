/**
 * What a core is: `step(input, at) -> effects`. Synchronous and deterministic: it reads no clock, draws nothing
 * at random, does no I/O and awaits nothing. State may change in place; what is to happen outside is returned.
 */
import type { Message, PeerId } from '@conclave/protocol';

/** When a step happens, and the chance that it may use. Input, so that a run can be repeated. */
export interface Instant {
  /** Milliseconds on the process's monotonic clock. */
  readonly nowMs: number;
  /** Milliseconds since 1970, for people to read; nothing is decided by it. */
  readonly wallTimeMs: number;
  /** Uniform in [0, 1), drawn anew for each step. */
  readonly random: number;
}

/** Sends a message to an actor of a peer, or to its feed: the beginning of the name says which. */
export interface Send<M extends Message = Message> {
  readonly type: 'send';
  readonly peerId: PeerId;
  readonly message: M;
}

/** Sets a timer anew; one of that name that runs is replaced. */
export interface SetTimer<T extends string = string> {
  readonly type: 'set_timer';
  readonly timer: T;
  readonly afterMs: number;
}

/** Stops a timer; it will not go off any more. */
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

/** A message has arrived. It was parsed at the door. */
export interface MessageInput<M extends Message = Message> {
  readonly type: 'message';
  readonly message: M;
}

/** A timer has gone off. */
export interface TimerInput<T extends string = string> {
  readonly type: 'timer';
  readonly timer: T;
}

/** The mailbox has run dry: what was gathered can go out in one piece. */
export interface IdleInput {
  readonly type: 'idle';
}

/** A synchronous, deterministic actor. A step that throws stops the actor: see `invariant`. */
export interface Core<Input, Effect> {
  step(input: Input, at: Instant): readonly Effect[];
  /** What was not taken, by reason. */
  readonly dropped?: Readonly<Record<string, number>>;
}
