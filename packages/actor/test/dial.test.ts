import { connect as connectTcp, createServer, type Socket } from 'node:net';
import { NatsLogin } from '@conclave/protocol/login';
import { connect } from 'nats';
import { expect, it, onTestFinished } from 'vitest';
import { startNats } from '../../../test/support/nats.js';
import { Connection } from '../src/index.js';

it('a server that accepts the first connection and refuses the one that is kept is logged with its reason, until it accepts it', async () => {
  const server = await startNats({ configuration: 'max_connections: 1' });
  onTestFinished(() => server.stop());
  // The first connection is accepted, and then another client takes the only place.
  let occupied: Promise<{ close(): Promise<void> }> | undefined;
  const sockets: Socket[] = [];
  const relay = createServer(async (near) => {
    near.on('error', () => undefined);
    const isFirst = sockets.length === 0;
    sockets.push(near);
    await occupied;
    const far = connectTcp(server.port, '127.0.0.1').on('error', () => undefined);
    sockets.push(far);
    near.pipe(far);
    far.pipe(near);
    if (!isFirst) return;
    occupied = new Promise((resolve, reject) => {
      far.on('close', () => connect({ servers: server.url }).then(resolve, reject));
    });
  });
  await new Promise<void>((resolve) => relay.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    relay.close();
  });
  const { port } = relay.address() as { readonly port: number };

  const lines: string[] = [];
  let onLine: (line: string) => void = () => undefined;
  const log = {
    write: (_: string, message: string, fields: object = {}) => {
      lines.push(`${message} ${JSON.stringify(fields)}`);
      onLine(lines.at(-1) as string);
    },
  };
  const refused = new Promise<void>((resolve) => {
    onLine = (line) => void (/not connected to NATS.*maximum connections exceeded/i.test(line) && resolve());
  });
  const login = NatsLogin.of({ servers: `nats://127.0.0.1:${port}` });
  const opening = Connection.open({ login, name: 'n1', log });
  await refused;
  await (await occupied)?.close();
  await (await opening).close();
  expect(lines.filter((line) => line.startsWith('connected to NATS'))).toHaveLength(1);
});
