/**
 * Fills a group's log: each write is a request of its own, and so an entry of its own. Conclave's client would join the calls of
 * one turn of the event loop.
 */
import { ConclaveError, decode, ErrorReply, encode } from '@conclave/protocol';
import { inboxOf } from '@conclave/protocol/login';
import type { NatsConnection } from 'nats';

/** Requests that have no reply yet. */
const inFlight = 4096;
/** A request without a reply after this time is sent again. */
const repeatAfterMs = 5_000;
const lookEveryMs = 1_000;
/** A reply this short is not an error. Most replies are not parsed. */
const shortBytes = 32;

export interface PrefillOptions {
  readonly subject: string;
  readonly entries: number;
  /** The request of each write. */
  readonly body: (number: number) => Uint8Array;
  /** Called with the number of writes, about once a second. */
  readonly onProgress: (written: number) => void;
}

/**
 * Sends all writes.
 * @throws ConclaveError if a write is rejected and a repetition cannot help
 */
export async function prefill(connection: NatsConnection, options: PrefillOptions): Promise<void> {
  const { subject, entries, body, onProgress } = options;
  const inbox = inboxOf(connection);
  const open = new Map<number, number>();
  let [begun, written] = [0, 0];
  const ask = (number: number): void => {
    open.set(number, performance.now());
    connection.publish(subject, body(number), { reply: `${inbox}.${number}` });
  };
  const askNext = (): void => {
    begun += 1;
    ask(begun);
  };
  await new Promise<void>((resolve, reject) => {
    const subscription = connection.subscribe(`${inbox}.*`, {
      callback: (error, message) => {
        const number = Number(message.subject.slice(inbox.length + 1));
        if (error !== null || !open.has(number)) return;
        const refusal = refusalOf(message.data);
        if (refusal === 'again') return;
        if (refusal !== undefined) return end(refusal);
        open.delete(number);
        written += 1;
        if (begun < entries) askNext();
        else if (written === entries) end();
      },
    });
    const timer = setInterval(() => {
      onProgress(written);
      const overdue = performance.now() - repeatAfterMs;
      for (const [number, askedMs] of open) if (askedMs < overdue) ask(number);
    }, lookEveryMs);
    const end = (error?: Error): void => {
      clearInterval(timer);
      subscription.unsubscribe();
      if (error === undefined) resolve();
      else reject(error);
    };
    while (begun < Math.min(entries, inFlight)) askNext();
  });
}

/** Returns why a write was rejected: `again` if a repetition may help; undefined: it was not rejected. */
function refusalOf(data: Uint8Array): Error | 'again' | undefined {
  if (data.length <= shortBytes && data.length > 0) return undefined;
  // There is no leader at the moment, so nobody subscribes.
  if (data.length === 0) return 'again';
  const failure = ErrorReply.safeParse(decode(data));
  if (!failure.success) return undefined;
  const { code, message } = failure.data.error;
  return code === 'EBUSY' || code === 'EPERM' || code === 'ETIMEDOUT' ? 'again' : new ConclaveError(code, message);
}

/** Returns a `put` of this value under a key of its own. */
export function putBody(value: Uint8Array): (number: number) => Uint8Array {
  return (number) => encode({ key: `key-${number}`, value });
}
