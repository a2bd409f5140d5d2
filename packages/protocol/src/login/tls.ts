/** The TLS part of a login, as the NATS client takes it. Its files are read by the client at each connection. */
import { accessSync, constants } from 'node:fs';
import { checkServerIdentity, type PeerCertificate } from 'node:tls';
import type { TlsOptions } from 'nats';
import { LoginError } from './login-error.js';
import type { ServerUrl } from './server-url.js';
import type { LoginSettings } from './settings.js';

type TlsSettings = Pick<LoginSettings, 'tlsCa' | 'tlsCert' | 'tlsKey' | 'tlsFirst'>;

/** Undefined: TLS is used where the server has it, with the authorities that Node.js knows. */
export function tlsOf(settings: TlsSettings, urls: readonly ServerUrl[]): TlsOptions | undefined {
  const { tlsCa, tlsCert, tlsKey, tlsFirst } = settings;
  if ((tlsCert === undefined) !== (tlsKey === undefined)) {
    throw new LoginError('EINVAL', 'a TLS certificate for NATS and its key are given together');
  }
  const isDemanded = [tlsCa, tlsCert].some((file) => file !== undefined) || tlsFirst || urls.some(({ isTls }) => isTls);
  if (!isDemanded) return undefined;
  const options = {
    ...(tlsCa === undefined ? {} : { caFile: tlsCa }),
    ...(tlsCert === undefined ? {} : { certFile: tlsCert }),
    ...(tlsKey === undefined ? {} : { keyFile: tlsKey }),
    ...(tlsFirst === true ? { handshakeFirst: true } : {}),
    // The client hands all of this on to Node's own TLS.
    checkServerIdentity: (host: string, certificate: PeerCertificate) => identityFault(host, certificate, urls),
  };
  return options;
}

/**
 * Where a server is reached by its address, the client names it `localhost` to Node's check: then the certificate must be for one
 * of the addresses that were given, as that is who was meant.
 */
function identityFault(host: string, certificate: PeerCertificate, urls: readonly ServerUrl[]): Error | undefined {
  if (host !== 'localhost' || urls.some((url) => url.host === 'localhost'))
    return checkServerIdentity(host, certificate);
  const faults = urls.map((url) => checkServerIdentity(url.host, certificate));
  return faults.includes(undefined) ? undefined : faults[0];
}

/** @throws LoginError ELOGIN where a file cannot be read */
export function checkTlsFiles({ tlsCa, tlsCert, tlsKey }: TlsSettings): void {
  for (const file of [tlsCa, tlsCert, tlsKey]) {
    if (file === undefined) continue;
    try {
      accessSync(file, constants.R_OK);
    } catch (error) {
      throw new LoginError('ELOGIN', `a TLS file for NATS cannot be read: ${(error as Error).message}`);
    }
  }
}
