import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { expect, it } from 'vitest';
import { afterReading } from '../src/after-reading.js';

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
      afterReading(1, () => {
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

it('one that is taken back does not call, also when its time has come already', async () => {
  const seen: string[] = [];
  const [early, due] = ['early', 'due'].map((name) => afterReading(1, () => seen.push(name)));
  early?.();
  await new Promise<void>((resolve) => {
    setTimeout(() => {
      due?.();
      setImmediate(() => setImmediate(resolve));
    }, 1);
  });
  expect(seen).toEqual([]);
});
