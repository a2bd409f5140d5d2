/** What nodes' own cores report: their summary and status. */
import type { NodeCore, NodeSummary } from '@conclave/node';
import type { StatusReply } from '@conclave/protocol';
import type { Actor, CoreReports } from '../../mesh/actor.js';

/** Returns the present summary. It is cached between steps, as only steps change a core. */
export function summaryOf(actor: Actor): NodeSummary {
  const core = actor.core as unknown as NodeCore;
  // During a step it may still change.
  if (actor.isStepping) return core.summary();
  const reports = reportsOf(actor);
  reports.summary ??= core.summary();
  return reports.summary;
}

/** Returns the status as of its first request after the last step: ages, lags and health may be outdated. */
export function lastStatusOf(actor: Actor, status: (actor: Actor) => StatusReply): StatusReply {
  if (actor.isStepping) return status(actor);
  const reports = reportsOf(actor);
  reports.status ??= status(actor);
  return reports.status;
}

/** Returns what was read from the core since its last step. */
function reportsOf({ core, stepCount, reports }: Actor): CoreReports {
  if (reports.core === core && reports.stepCount === stepCount) return reports;
  reports.core = core;
  reports.stepCount = stepCount;
  reports.summary = undefined;
  reports.status = undefined;
  return reports;
}
