// An SDK of OpenTelemetry that writes each span as a line of JSON: `NODE_OPTIONS=--import=<this file> SPANS_FILE=<file>`.
import { appendFileSync } from 'node:fs';
import { trace } from '@opentelemetry/api';
import { BasicTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base';

const file = process.env.SPANS_FILE;

/** @param {readonly [number, number]} time seconds and nanoseconds */
const milliseconds = ([seconds, nanoseconds]) => seconds * 1000 + nanoseconds / 1e6;

const exporter = {
  /**
   * @param {readonly import('@opentelemetry/sdk-trace-base').ReadableSpan[]} spans
   * @param {(result: { code: number }) => void} done
   */
  export(spans, done) {
    for (const span of spans) {
      const { traceId, spanId } = span.spanContext();
      const line = {
        traceId,
        spanId,
        parentId: span.parentSpanContext?.spanId,
        name: span.name,
        attributes: span.attributes,
        events: span.events.map(({ name, attributes }) => ({ name, index: attributes?.['conclave.index'] })),
        startMs: milliseconds(span.startTime),
        ms: milliseconds(span.duration),
      };
      if (file !== undefined) appendFileSync(file, `${JSON.stringify(line)}\n`);
    }
    done({ code: 0 });
  },
  shutdown: async () => undefined,
};

trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }));
