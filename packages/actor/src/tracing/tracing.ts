/**
 * Traces of requests: the header `traceparent` of a request (W3C Trace Context) goes with it to the actors that work on it, and
 * appears in their log lines at the level `debug`. The only file that knows `@opentelemetry/api`: without an SDK its spans do
 * nothing. Of a request without that header, only the headers are read.
 */

import type { ErrorBody } from '@conclave/protocol';
import { type Message, traceparentPattern } from '@conclave/protocol';
import {
  context,
  isSpanContextValid,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  trace,
} from '@opentelemetry/api';
import type { MsgHdrs } from 'nats';
import type { LineLog } from '../actor-log.js';

/** The header of a request and of its reply. */
export const traceHeader = 'traceparent';

/** At most this many spans of messages of an actor are open: with more, the oldest ones are ended. */
const openSpans = 256;

const tracer = trace.getTracer('conclave');

type Attributes = Readonly<Record<string, string | number>>;

/** The trace of one request, from its arrival to its reply. */
export class RequestTrace {
  private readonly span: Span;
  private readonly traceId: string;
  private readonly sinceMs = performance.now();
  /** What the messages of this request carry. */
  readonly traceparent: string;

  private constructor(
    private readonly name: string,
    parent: string,
    attributes: Attributes,
    private readonly log: LineLog,
  ) {
    this.span = startSpan(name, SpanKind.SERVER, parent, attributes);
    this.traceparent = traceparentOf(this.span) ?? parent;
    this.traceId = traceIdOf(parent);
    log.write('debug', 'trace: request received', { trace_id: this.traceId, operation: name });
  }

  /** Returns the trace of a request with these headers, on this subject; undefined: it has none. */
  static of(from: MsgHdrs, subject: string, log: LineLog): RequestTrace | undefined {
    const parent = from.get(traceHeader);
    if (!traceparentPattern.test(parent)) return undefined;
    // `kv.put`, of `conclave.main.kv.put`.
    const name = subject.split('.').slice(-2).join('.');
    return new RequestTrace(name, parent, { 'conclave.subject': subject }, log);
  }

  /** The request has reached this stage, with this log index. */
  reach(stage: string, index: number): void {
    this.span.addEvent(stage, { 'conclave.index': index });
    this.log.write('debug', `trace: ${stage}`, { trace_id: this.traceId, operation: this.name, index });
  }

  /** The reply to the request was sent. @param error undefined: the request was done */
  end(error?: ErrorBody): void {
    if (error !== undefined)
      this.span.setStatus({ code: SpanStatusCode.ERROR, message: `${error.code}: ${error.message}` });
    this.span.end();
    const outcome = error?.outcome ?? 'done';
    const ms = Math.round(performance.now() - this.sinceMs);
    this.log.write('debug', 'trace: request answered', { trace_id: this.traceId, operation: this.name, outcome, ms });
  }
}

/** The traces that a message carries; undefined: none. */
export function tracesOf(message: Message): readonly string[] | undefined {
  return (message.body as { readonly traces?: readonly string[] }).traces;
}

/** The trace id of a header. */
export function traceIdOf(traceparent: string): string {
  return traceparent.slice(3, 35);
}

/** The spans of messages that an actor works on. */
export class MessageSpans {
  private open: Span[] = [];

  constructor(private readonly attributes: Attributes) {}

  /** Begins a span for each trace of a message. */
  begin(name: string, traces: readonly string[]): void {
    for (const parent of traces) this.open.push(startSpan(name, SpanKind.CONSUMER, parent, this.attributes));
    while (this.open.length > openSpans) this.open.shift()?.end();
  }

  get isEmpty(): boolean {
    return this.open.length === 0;
  }

  /** Returns what ends the spans that are open now. */
  take(): () => void {
    const { open } = this;
    this.open = [];
    return () => {
      for (const span of open) span.end();
    };
  }
}

function startSpan(name: string, kind: SpanKind, parent: string, attributes: Attributes): Span {
  const [, traceId = '', spanId = '', flags = '00'] = parent.split('-');
  const traceFlags = Number.parseInt(flags, 16) & TraceFlags.SAMPLED;
  const parentContext = trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId, traceFlags, isRemote: true });
  return context.with(parentContext, () => tracer.startSpan(name, { kind, attributes }, parentContext));
}

/** Undefined: there is no SDK that gives the span an id. */
function traceparentOf(span: Span): string | undefined {
  const found = span.spanContext();
  if (!isSpanContextValid(found)) return undefined;
  return `00-${found.traceId}-${found.spanId}-${found.traceFlags.toString(16).padStart(2, '0')}`;
}
