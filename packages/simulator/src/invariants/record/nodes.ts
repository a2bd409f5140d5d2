/** What is asked of nodes' cores themselves: what they believe. */
import type { NodeCore, NodeSummary } from '@conclave/node';
import type { StatusReply } from '@conclave/protocol';
import type { Actor } from '../../mesh/actor.js';

interface Known<T> {
  readonly core: object;
  readonly stepCount: number;
  readonly what: T;
}

const summaries = new WeakMap<Actor, Known<NodeSummary>>();
const statuses = new WeakMap<Actor, Known<StatusReply>>();

/** As of now: several invariants ask between two steps, and a core changes by its steps alone. */
export function summaryOf(actor: Actor): NodeSummary {
  return asOfLastStep(summaries, actor, () => (actor.core as unknown as NodeCore).summary());
}

/** As it was when it was first asked for behind the last step: what of it is an age, a lag or health by the clock may be older. */
export function lastStatusOf(actor: Actor, status: (actor: Actor) => StatusReply): StatusReply {
  return asOfLastStep(statuses, actor, () => status(actor));
}

function asOfLastStep<T>(known: WeakMap<Actor, Known<T>>, actor: Actor, ask: () => T): T {
  const { core, stepCount } = actor;
  // In the middle of a step it is not settled.
  if (stepCount % 2 === 1) return ask();
  const before = known.get(actor);
  if (before?.core === core && before.stepCount === stepCount) return before.what;
  const what = ask();
  known.set(actor, { core, stepCount, what });
  return what;
}
