/** The page of a live group: its source, its keys and its admin commands, over a connection of the command. */
import { isIP } from 'node:net';
import { hostname } from 'node:os';
import { ConclaveClient } from '@conclave/client';
import type { AdminCommand, AdminRequest, PeerId } from '@conclave/protocol';
import type { Action, GroupRequests, LiveSource, ViewServer } from '@conclave/view';
import type { AdminClient } from '../admin-client.js';

export const defaultListen = { host: '127.0.0.1', port: 8250 } as const;

export interface Listen {
  readonly host: string;
  readonly port: number;
}

export interface LiveViewOptions {
  readonly listen: Listen;
  readonly allowAdmin: boolean;
  /** Messages per second that the page shows. */
  readonly messageRate?: number | undefined;
  /** Observe messages only while a browser shows the page. */
  readonly messagesForBrowsersOnly?: boolean | undefined;
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}

/** The names of the page: on other addresses than those of this machine, also the name of the machine. */
export function namesOf({ host }: Listen): string[] {
  return isLoopback(host) ? [] : [hostname(), ...(isIP(host) === 0 ? [host] : [])];
}

/** A change of members may take as long as its own limit. */
const adminTimeoutMs = 120_000;

/** @throws ConclaveError EBUSY if the port is taken */
export async function startLiveView(adminClient: AdminClient, options: LiveViewOptions): Promise<ViewServer> {
  // Other commands start faster without it.
  const { LiveKeys, ViewServer } = await import('@conclave/view');
  const { connection, groupId, subjects } = adminClient;
  const client = await ConclaveClient.connect({ connection, groupId, prefix: subjects.prefix });
  return ViewServer.start({
    source: await liveSource(adminClient, options),
    ...options.listen,
    hosts: namesOf(options.listen),
    keys: new LiveKeys(client),
    admin: options.allowAdmin ? (action) => execute(adminClient, action) : undefined,
  });
}

export async function liveSource(
  adminClient: AdminClient,
  { messageRate, messagesForBrowsersOnly }: Pick<LiveViewOptions, 'messageRate' | 'messagesForBrowsersOnly'>,
): Promise<LiveSource> {
  const { LiveSource } = await import('@conclave/view');
  const { connection, groupId, subjects } = adminClient;
  const requests: GroupRequests = {
    status: (peerId, timeoutMs) =>
      adminClient.admin('status', {}, peerId === undefined ? { timeoutMs } : { peerId, timeoutMs }),
    discover: (withinMs) => adminClient.discover(withinMs),
  };
  return new LiveSource({
    connection,
    groupId,
    prefix: subjects.prefix,
    requests,
    messageRate,
    messagesForBrowsersOnly,
  });
}

/** The server has validated the request by the schema of the command. */
function execute(adminClient: AdminClient, { command, peer, request }: Action): Promise<unknown> {
  const where = peer === '' ? {} : { peerId: peer as PeerId };
  return adminClient.admin(command as AdminCommand, request as AdminRequest<AdminCommand>, {
    ...where,
    timeoutMs: adminTimeoutMs,
  });
}
