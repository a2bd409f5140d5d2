import { asGroupId, asPeerId, type Message } from '@conclave/protocol';
import { headers } from 'nats';
import { expect, it } from 'vitest';
import { MessageSpans, RequestTrace, tracesOf } from '../src/index.js';

const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
const parent = `00-${traceId}-00f067aa0ba902b7-01`;

function headersWith(traceparent: string) {
  const made = headers();
  made.set('traceparent', traceparent);
  return made;
}

it('without an SDK a request passes its sender’s ids on, and its steps are in the log with the trace id', () => {
  const lines: [string, string, unknown][] = [];
  const log = { write: (level: string, text: string, fields?: object) => lines.push([level, text, fields]) };
  const trace = RequestTrace.of(headersWith(parent), 'conclave.main.kv.put', log);
  expect(trace?.traceparent).toBe(parent);
  trace?.reach('committed', 7);
  trace?.end({ code: 'EBUSY', message: '', outcome: 'not_done' });
  const common = { trace_id: traceId, operation: 'kv.put' };
  expect(lines).toEqual([
    ['debug', 'trace: request received', common],
    ['debug', 'trace: committed', { ...common, index: 7 }],
    ['debug', 'trace: request answered', { ...common, outcome: 'not_done', ms: expect.any(Number) }],
  ]);
});

it.each([
  '',
  'x',
  parent.replace('00-', '01-'),
  parent.replace(traceId, '0'.repeat(32)),
  `${parent}0`,
  parent.toUpperCase(),
])('a header that is no trace is ignored: %j', (wrong) => {
  expect(RequestTrace.of(headersWith(wrong), 'conclave.main.kv.put', { write: () => undefined })).toBeUndefined();
});

it('spans of messages are returned once', () => {
  const spans = new MessageSpans({ 'conclave.group': asGroupId('g'), 'conclave.peer': asPeerId('n1') });
  expect(spans.isEmpty).toBe(true);
  spans.begin('feed.append', [parent, parent]);
  expect(spans.isEmpty).toBe(false);
  spans.take()();
  expect(spans.isEmpty).toBe(true);
});

it('a message has traces only if it carries the field', () => {
  expect(tracesOf({ name: 'feed.append', body: { traces: [parent] } } as unknown as Message)).toEqual([parent]);
  expect(tracesOf({ name: 'feed.append', body: {} } as unknown as Message)).toBeUndefined();
});
