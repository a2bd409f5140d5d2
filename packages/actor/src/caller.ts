/** Who sent a request, as far as its headers tell. */
import { type Caller, callerHeader, limits } from '@conclave/protocol';
import type { MsgHdrs } from 'nats';

const natsHeader = 'Nats-Request-Info';

export function callerOf(headers: MsgHdrs | undefined): Caller {
  const user = userOf(headers?.get(natsHeader) ?? '');
  if (user !== '') return { name: user.slice(0, limits.callerBytes), source: 'nats' };
  const name = headers?.get(callerHeader) ?? '';
  return { name: name.slice(0, limits.callerBytes), source: name === '' ? 'unknown' : 'named' };
}

/** `<user> of <account>`; empty: the header says nothing of the kind. */
function userOf(info: string): string {
  try {
    const { user, acc } = JSON.parse(info) as { readonly user?: unknown; readonly acc?: unknown };
    return [user, acc].filter((part) => typeof part === 'string' && part !== '').join(' of ');
  } catch {
    return '';
  }
}
