/** A state machine whose applies are timed. */
import { FixedHistogram, type StateMachine, shortSecondsBounds } from '@conclave/actor/core';

export function newApplyHistogram(): FixedHistogram {
  return new FixedHistogram(shortSecondsBounds);
}

/**
 * Makes a state machine record how long each of its applies takes. It stays the same object: a wrapper would have to pass on each optional
 * member, and a state machine lacks some of them.
 */
export function timeApplies(stateMachine: StateMachine, seconds: FixedHistogram): void {
  const apply = stateMachine.apply.bind(stateMachine);
  stateMachine.apply = (index, payload, command, level) => {
    const beganMs = performance.now();
    const result = apply(index, payload, command, level);
    seconds.record((performance.now() - beganMs) / 1000);
    return result;
  };
}
