/** The sender of a request, as its headers name it. */
import { type Caller, callerHeader, limits } from '@conclave/protocol';
import type { Msg } from 'nats';
import { withoutGateway } from './serve.js';

const natsHeader = 'Nats-Request-Info';
/** What a service import makes of a reply subject. NATS lets no client name such a one. */
const importedReply = '_R_.';

/**
 * NATS names the user if the request came through a service import of another account with `share: true`. Else that header is
 * what the sender states about itself.
 */
export function callerOf({ headers, reply }: Pick<Msg, 'headers' | 'reply'>): Caller {
  const isImported = withoutGateway(reply ?? '').startsWith(importedReply);
  const user = isImported ? userOf(headers?.get(natsHeader) ?? '') : '';
  if (user !== '') return { name: shown(user), source: 'nats' };
  const name = headers?.get(callerHeader) ?? '';
  return { name: shown(name), source: name === '' ? 'unknown' : 'named' };
}

/** Printed by terminals as it stands: without characters that command them, and bounded. */
function shown(name: string): string {
  return name.replaceAll(/\p{Cc}/gu, '?').slice(0, limits.callerBytes);
}

/** `<user> of <account>`; empty: the header does not name them. */
function userOf(info: string): string {
  try {
    const { user, acc } = JSON.parse(info) as { readonly user?: unknown; readonly acc?: unknown };
    return [user, acc].filter((part) => typeof part === 'string' && part !== '').join(' of ');
  } catch {
    return '';
  }
}
