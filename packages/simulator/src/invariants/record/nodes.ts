/** What nodes' own cores report: their summary and status. */
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

/** Returns the present summary. It is cached between steps, as only steps change a core. */
export function summaryOf(actor: Actor): NodeSummary {
  return asOfLastStep(summaries, actor, () => (actor.core as unknown as NodeCore).summary());
}

/** Returns the status as of its first request after the last step: ages, lags and health may be outdated. */
export function lastStatusOf(actor: Actor, status: (actor: Actor) => StatusReply): StatusReply {
  return asOfLastStep(statuses, actor, () => status(actor));
}

function asOfLastStep<T>(known: WeakMap<Actor, Known<T>>, actor: Actor, ask: () => T): T {
  const { core, stepCount } = actor;
  // During a step it may still change.
  if (stepCount % 2 === 1) return ask();
  const before = known.get(actor);
  if (before?.core === core && before.stepCount === stepCount) return before.what;
  const what = ask();
  known.set(actor, { core, stepCount, what });
  return what;
}
