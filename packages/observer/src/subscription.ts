/** Subscribes and fills an observation. */
import { ConclaveError } from '@conclave/protocol';
import { violationOf } from '@conclave/protocol/login';
import type { Msg, NatsConnection } from 'nats';
import { type Observation, ObservedBuffer } from './observation.js';

/** What a NATS message contains: items, or `malformed`. Empty: nothing that is wanted. */
export type Reader<T> = (message: Msg) => readonly (T | 'malformed')[];

/** @param onOne called for each item at once; then the buffer stays empty */
export function subscribe<T extends object>(
  connection: NatsConnection,
  subjects: readonly string[],
  read: Reader<T>,
  onOne?: (one: T) => void,
): Observation<T> {
  const buffer = new ObservedBuffer<T>();
  let malformed = 0;
  let failure: ConclaveError | undefined;
  const fail = (error: Error): void => {
    failure ??= new ConclaveError('EPERM', violationOf(error)?.message ?? error.message);
    buffer.end(failure);
  };
  const subscriptions = subjects.map((subject) =>
    connection.subscribe(subject, {
      callback: (error, message) => {
        if (error !== null) return fail(error);
        for (const one of read(message)) {
          if (one === 'malformed') malformed += 1;
          else if (onOne !== undefined) onOne(one);
          else buffer.push(one);
        }
      },
    }),
  );
  connection.closed().then(
    () => buffer.end(),
    () => buffer.end(),
  );
  // NATS refuses a subscription before it replies to the flush after it.
  const ready = connection.flush().then(() => {
    if (failure !== undefined) throw failure;
  });
  // Callers that do not wait for it need not handle a connection that closes.
  ready.catch(() => undefined);
  return {
    [Symbol.asyncIterator]: () => buffer[Symbol.asyncIterator](),
    ready,
    close: () => {
      buffer.end();
      if (connection.isClosed()) return;
      for (const subscription of subscriptions) subscription.unsubscribe();
    },
    get dropped() {
      return buffer.dropped;
    },
    get malformed() {
      return malformed;
    },
  };
}
