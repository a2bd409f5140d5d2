/** The HTTP server of metrics and health. It answers GET and HEAD, and stores nothing. */
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createAdaptorServer } from '@hono/node-server';
import type { Hono } from 'hono';
import type { ListenAddress } from '../listen-address.js';

/** A server that listens. */
export interface HttpListener {
  /** With the port that it has. */
  readonly url: string;
  close(): Promise<void>;
}

/** More than a few Prometheus servers and health checks need. */
const maxConnections = 64;
/** A request that takes longer to arrive is refused. */
const requestMs = 10_000;

/**
 * Serves until it is closed.
 * @throws Error if it cannot listen there, with the reason
 */
export async function listen(app: Hono, address: ListenAddress): Promise<HttpListener> {
  const server = createAdaptorServer({ fetch: app.fetch, overrideGlobalObjects: false }) as Server;
  server.maxConnections = maxConnections;
  server.headersTimeout = requestMs;
  server.requestTimeout = requestMs;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(new Error(describe(error, address))));
    server.listen(address.port, address.host, resolve);
  });
  // A connection that fails later is the problem of its client.
  server.on('error', () => undefined);
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://${printable({ ...address, port })}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function describe({ code, message }: NodeJS.ErrnoException, address: ListenAddress): string {
  const where = printable(address);
  switch (code) {
    case 'EADDRINUSE':
      return `cannot listen on ${where}: another program uses this port; choose another one`;
    case 'EADDRNOTAVAIL':
      return `cannot listen on ${where}: this machine does not have that address`;
    case 'EACCES':
      return `cannot listen on ${where}: this user may not use that port; choose one above 1023`;
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `cannot listen on ${where}: the name ${address.host} is unknown`;
    default:
      return `cannot listen on ${where}: ${message}`;
  }
}

function printable({ host, port }: ListenAddress): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
