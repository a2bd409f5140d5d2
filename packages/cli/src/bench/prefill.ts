/**
 * Fills a group's log: each write is a request of its own, and so an entry of its own, where Conclave's client would
 * join the calls of one tick.
 */
import { ConclaveError, decode, ErrorReply, encode } from '@conclave/protocol';
import { inboxOf } from '@conclave/protocol/login';
import type { NatsConnection } from 'nats';

/** Requests that have not been answered. */
const inFlight = 4096;
/** What has not been answered by then is asked again. */
const repeatAfterMs = 5_000;
const lookEveryMs = 1_000;
/** An answer this short is no error; most are not looked into. */
const shortBytes = 32;

export interface PrefillOptions {
  readonly subject: string;
  readonly entries: number;
  /** The request of each. */
  readonly body: (number: number) => Uint8Array;
  /** Told how many are written, about once a second. */
  readonly say: (written: number) => void;
}

/** Writes them all. @throws ConclaveError where one is refused for good */
export async function prefill(connection: NatsConnection, options: PrefillOptions): Promise<void> {
  const { subject, entries, body, say } = options;
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
      say(written);
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

/** Why a write was not taken: `again` where it may be next time; undefined: it was. */
function refusalOf(data: Uint8Array): Error | 'again' | undefined {
  if (data.length <= shortBytes && data.length > 0) return undefined;
  // Nobody leads at the moment, and so nobody listens.
  if (data.length === 0) return 'again';
  const failure = ErrorReply.safeParse(decode(data));
  if (!failure.success) return undefined;
  const { code, message } = failure.data.error;
  return code === 'EBUSY' || code === 'EPERM' || code === 'ETIMEDOUT' ? 'again' : new ConclaveError(code, message);
}

/** A `put` of this value under a key of its own. */
export function putBody(value: Uint8Array): (number: number) => Uint8Array {
  return (number) => encode({ key: `key-${number}`, value });
}
