/** An invariant observes a run, and throws when its rule is broken. */
import type { ActorKind, PeerId } from '@conclave/protocol';
import type { RunObserver, SentHandlers } from '../mesh/run-observer.js';
import { InvariantViolation } from './invariant-violation.js';
import type { RunRecord } from './record/run-record.js';

type Hooks = Pick<
  RunObserver,
  | 'onDelivered'
  | 'onStepping'
  | 'onStepped'
  | 'onEvent'
  | 'onApplied'
  | 'onDigest'
  | 'onResult'
  | 'onRestored'
  | 'onWritten'
  | 'onReplied'
  | 'onServed'
  | 'onClientStepped'
>;

export interface Invariant extends Hooks {
  /** The name of its file. */
  readonly name: string;
  readonly sent?: SentHandlers;
  /** The actors whose steps it observes (`onStepping`, `onStepped`); undefined: all. */
  readonly watched?: readonly ActorKind[];
  /**
   * The inputs for which `onStepping` is called, by type or by the name of a message (`message`: all messages); undefined: all,
   * also `idle`.
   */
  readonly inputs?: readonly string[];
  /** The inputs after which `onStepped` is called, likewise; undefined: all, also `idle`. */
  readonly after?: readonly string[];
  /** It continues when the group is created again during a run; the others know one history, and those that resets begin. */
  readonly spansHistories?: true;
  /** The run has ended, the group is healthy, and these are its members. */
  onEnd?(members: readonly PeerId[]): void;
}

/** The base class of all invariants. */
export abstract class Rule {
  abstract readonly name: string;

  constructor(protected readonly record: RunRecord) {}

  /** @throws InvariantViolation unless it holds. */
  protected check(holds: boolean, seen: () => string): asserts holds {
    if (!holds) throw new InvariantViolation(this.name, seen());
  }
}
