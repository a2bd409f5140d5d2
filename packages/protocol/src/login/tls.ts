/** The TLS part of a login, as the NATS client takes it. Its files are read by the client at each connection. */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { checkServerIdentity, type PeerCertificate } from 'node:tls';
import type { TlsOptions } from 'nats';
import { LoginError } from './login-error.js';
import { readLoginFile } from './login-file.js';
import type { ServerUrl } from './server-url.js';
import type { LoginSettings } from './settings.js';

type TlsSettings = Pick<LoginSettings, 'tlsCa' | 'tlsCert' | 'tlsKey' | 'tlsFirst'>;

/** Undefined: TLS is used if the server offers it, with the authorities that Node.js knows. */
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
 * of the addresses that were given, as that server was meant.
 */
function identityFault(host: string, certificate: PeerCertificate, urls: readonly ServerUrl[]): Error | undefined {
  if (host !== 'localhost' || urls.some((url) => url.host === 'localhost'))
    return checkServerIdentity(host, certificate);
  const faults = urls.map((url) => checkServerIdentity(url.host, certificate));
  return faults.includes(undefined) ? undefined : faults[0];
}

/**
 * Node's TLS would ignore what is no certificate among the authorities, and does not name the file that it cannot use.
 * @throws LoginError ELOGIN if a file cannot be read, or holds something else
 */
export function checkTlsFiles({ tlsCa, tlsCert, tlsKey }: TlsSettings): void {
  if (tlsCa !== undefined) certificatesIn(tlsCa);
  if (tlsCert === undefined || tlsKey === undefined) return;
  const [own] = certificatesIn(tlsCert);
  if (own?.checkPrivateKey(keyIn(tlsKey)) !== true) {
    throw new LoginError('ELOGIN', `the TLS key in ${tlsKey} does not belong to the certificate in ${tlsCert}`);
  }
}

const certificateBlock =
  /-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----[^-]*-----END (?:X509 |TRUSTED )?CERTIFICATE-----/g;

function certificatesIn(file: string): X509Certificate[] {
  const blocks = readLoginFile('TLS certificate', file).match(certificateBlock) ?? [];
  if (blocks.length === 0) throw new LoginError('ELOGIN', `${file} holds no certificate in PEM format`);
  try {
    return blocks.map((block) => new X509Certificate(block));
  } catch {
    throw new LoginError('ELOGIN', `${file} holds a damaged certificate`);
  }
}

function keyIn(file: string): KeyObject {
  const text = readLoginFile('TLS key', file);
  try {
    return createPrivateKey(text);
  } catch {
    // The error of the parser could quote the key.
    const why = text.includes('ENCRYPTED')
      ? 'an encrypted key, for which there is no passphrase'
      : 'no private key in PEM format';
    throw new LoginError('ELOGIN', `${file} holds ${why}`);
  }
}
