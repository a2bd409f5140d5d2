/** What an invariant is: it hears what happens in a run, and throws when its rule is broken. */
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
  | 'onAnswered'
  | 'onServed'
  | 'onClientStepped'
>;

export interface Invariant extends Hooks {
  /** Of its file. */
  readonly name: string;
  readonly sent?: SentHandlers;
  /** Whose steps it looks at (`onStepping`, `onStepped`); undefined: those of all actors. */
  readonly watched?: readonly ActorKind[];
  /** Of which inputs `onStepping` is told; undefined: of all, also where an actor runs idle. */
  readonly inputs?: readonly string[];
  /** It goes on where the group is founded anew in the middle of a run; the others know of one history, and those that resets begin. */
  readonly spansHistories?: true;
  /** The run has ended, all is well again, and these are the members of the group. */
  onEnd?(members: readonly PeerId[]): void;
}

/** What all invariants have. */
export abstract class Rule {
  abstract readonly name: string;

  constructor(protected readonly record: RunRecord) {}

  /** @throws InvariantViolation unless it holds. */
  protected check(holds: boolean, seen: () => string): asserts holds {
    if (!holds) throw new InvariantViolation(this.name, seen());
  }
}
