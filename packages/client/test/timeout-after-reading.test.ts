import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { expect, it } from 'vitest';
import { timeoutAfterReading } from '../src/timeout-after-reading.js';

it('what arrived while the process was held up is read before a timer that is due', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const near = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [far] = await accepted;
  try {
    const seen: string[] = [];
    near.on('data', () => seen.push('answer'));
    await new Promise<void>((resolve) => {
      setTimeout(() => seen.push('plain timer'), 1);
      timeoutAfterReading(1, () => {
        seen.push('timer');
        resolve();
      });
      far.write('answer');
      for (const until = performance.now() + 50; performance.now() < until; );
    });
    expect(seen).toEqual(['plain timer', 'answer', 'timer']);
  } finally {
    near.destroy();
    far.destroy();
    server.close();
  }
});

it('a timeout that is cancelled does not call back, even if it has fired already', async () => {
  const seen: string[] = [];
  const [early, due] = ['early', 'due'].map((name) => timeoutAfterReading(1, () => seen.push(name)));
  early?.();
  await new Promise<void>((resolve) => {
    setTimeout(() => {
      due?.();
      setImmediate(() => setImmediate(resolve));
    }, 1);
    // Both timers are due before the event loop looks at them, so that it runs them in one pass.
    for (const until = performance.now() + 20; performance.now() < until; );
  });
  expect(seen).toEqual([]);
});
