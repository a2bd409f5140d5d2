/**
 * Measures how long requests take, by operation and outcome, and counts errors by code.
 *
 * Invariant: its size has a bound. Only operations of the protocol, and others of which a request was done (of a custom state
 * machine), have their own histograms; a request can name anything.
 */
import {
  type Api,
  adminCommands,
  bucketsOf,
  type ErrorBody,
  type ErrorCode,
  kvOperations,
  limits,
  type MetricSample,
  sampleOf,
} from '@conclave/protocol';
import { FixedHistogram } from '../core/index.js';
import { isMeasuring } from './measuring.js';

type Outcome = 'done' | 'not_done' | 'unknown';

interface Operation {
  readonly done: FixedHistogram;
  readonly not_done: FixedHistogram;
  readonly unknown: FixedHistogram;
}

const otherName = 'other';
const outcomes: readonly Outcome[] = ['done', 'not_done', 'unknown'];

export class RequestTimes {
  private readonly operations: Map<string, Operation>;
  private readonly other = newOperation();
  private readonly errors = new Map<ErrorCode, number>();

  constructor(private readonly api: Api) {
    const known = Object.keys(api === 'admin' ? adminCommands : kvOperations);
    this.operations = new Map(known.map((name) => [name, newOperation()]));
  }

  /** Records a request. @param error of its reply; undefined: it is done */
  record(name: string, seconds: number, error?: ErrorBody): void {
    if (!isMeasuring) return;
    const outcome = error === undefined ? 'done' : error.outcome;
    const operation = this.operations.get(name) ?? this.learn(name, outcome);
    operation[outcome].record(seconds);
    if (error !== undefined) this.errors.set(error.code, (this.errors.get(error.code) ?? 0) + 1);
  }

  samples(): MetricSample[] {
    const { api } = this;
    const all = [...this.operations, [otherName, this.other] as const];
    return [
      ...all.flatMap(([operation, times]) =>
        outcomes
          .filter((outcome) => times[outcome].count > 0)
          .map((outcome) => bucketsOf('conclave_request_seconds', times[outcome].buckets, { api, operation, outcome })),
      ),
      ...[...this.errors].map(([code, count]) => sampleOf('conclave_request_errors_total', count, { api, code })),
    ];
  }

  private learn(name: string, outcome: Outcome): Operation {
    if (outcome !== 'done' || this.operations.size >= limits.measuredOperations) return this.other;
    const operation = newOperation();
    this.operations.set(name, operation);
    return operation;
  }
}

function newOperation(): Operation {
  return { done: new FixedHistogram(), not_done: new FixedHistogram(), unknown: new FixedHistogram() };
}
