import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { open, TcpProxy } from '../chaos/tcp-proxy.js';

/** The proxy with which chaos disturbs connections: it must pass all bytes on, or disturb them as configured. */
let server: Server;
let proxy: TcpProxy;
const sockets: Socket[] = [];

beforeEach(async () => {
  server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => undefined);
    socket.pipe(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  proxy = await TcpProxy.open((server.address() as AddressInfo).port);
});

afterEach(async () => {
  await proxy.close();
  for (const socket of sockets.splice(0)) socket.destroy();
  server.close();
  await once(server, 'close');
});

async function dial(): Promise<Socket> {
  const socket = connect(proxy.port, '127.0.0.1');
  socket.on('error', () => undefined);
  sockets.push(socket);
  await once(socket, 'connect');
  return socket;
}

/** Settled when so many bytes have come back. */
function echoed(socket: Socket, bytes: number): Promise<Buffer> {
  return new Promise((resolve) => {
    const pieces: Buffer[] = [];
    let length = 0;
    const take = (piece: Buffer) => {
      pieces.push(piece);
      length += piece.length;
      if (length < bytes) return;
      socket.off('data', take);
      resolve(Buffer.concat(pieces));
    };
    socket.on('data', take);
  });
}

function megabytes(count: number): Buffer {
  return Buffer.from(Uint32Array.from({ length: count * 256 * 1024 }, (_, at) => at).buffer);
}

describe('the TCP proxy', () => {
  it.each([open, { how: 'slow', delayMs: 5 } as const])(
    'forwards everything in order when it is $how',
    async (condition) => {
      proxy.set(condition);
      const socket = await dial();
      const sent = megabytes(4);
      const back = echoed(socket, sent.length);
      socket.write(sent);
      expect(Buffer.compare(await back, sent)).toBe(0);
      expect(proxy.connections).toBe(1);
    },
  );

  it('forwards and closes nothing while it stalls, and forwards everything afterwards', async () => {
    const socket = await dial();
    const first = echoed(socket, 4);
    socket.write('here');
    await first;
    proxy.set({ how: 'stall' });
    const sent = megabytes(4);
    const back = echoed(socket, sent.length);
    socket.write(sent);
    const late = await dial();
    const lateBack = echoed(late, 4);
    late.write('late');
    // A round trip past the proxy is long enough for what passes through it.
    const past = connect((server.address() as AddressInfo).port, '127.0.0.1');
    sockets.push(past);
    const pastBack = echoed(past, 4);
    past.write('past');
    await pastBack;
    expect([socket.bytesRead, late.bytesRead, socket.closed, late.closed]).toEqual([4, 0, false, false]);
    proxy.set(open);
    expect(Buffer.compare(await back, sent)).toBe(0);
    expect(String(await lateBack)).toBe('late');
  });

  it('closes present and new connections while it is cut', async () => {
    const socket = await dial();
    const closed = once(socket, 'close');
    proxy.set({ how: 'cut' });
    await closed;
    const next = connect(proxy.port, '127.0.0.1');
    next.on('error', () => undefined);
    await once(next, 'close');
    expect(proxy.connections).toBe(0);
    proxy.set(open);
    const last = await dial();
    const back = echoed(last, 4);
    last.write('back');
    expect(String(await back)).toBe('back');
  });

  it('closes a connection that the other side closes', async () => {
    const socket = await dial();
    const closed = once(socket, 'close');
    const back = echoed(socket, 4);
    socket.write('here');
    await back;
    sockets.find((each) => each.localPort === (server.address() as AddressInfo).port)?.destroy();
    await closed;
  });
});
