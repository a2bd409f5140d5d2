/** A key's value as server-sent events, for as long as the browser listens. */
import { ConclaveError } from '@conclave/protocol';
import type { KeyReader } from './key-reader.js';
import { event } from './view-hub.js';

const encoder = new TextEncoder();

/** A slow reader receives only the newest value. */
export function watchKey(keys: KeyReader, key: string): ReadableStream<Uint8Array> {
  const abort = new AbortController();
  let newest: string | undefined;
  let failed = false;
  return new ReadableStream<Uint8Array>({
    start: (controller) => {
      void follow(controller);
    },
    pull: (controller) => send(controller),
    cancel: () => abort.abort(),
  });

  function send(controller: ReadableStreamDefaultController<Uint8Array>): void {
    if (newest === undefined || (controller.desiredSize ?? 0) <= 0) return;
    controller.enqueue(encoder.encode(newest));
    newest = undefined;
    if (failed) controller.close();
  }

  async function follow(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    try {
      for await (const value of keys.watch(key, abort.signal)) {
        newest = event('value', value ?? null);
        send(controller);
      }
    } catch (error) {
      if (abort.signal.aborted) return;
      failed = true;
      const code = error instanceof ConclaveError ? error.code : 'EINVAL';
      newest = event('failed', { code, message: (error as Error).message });
      send(controller);
    }
  }
}
