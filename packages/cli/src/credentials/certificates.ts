/** Creates a certificate authority and the certificate of the NATS servers, for deployments that have no authority yet. */
import { generateKeyPairSync, randomBytes, X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import forge from 'node-forge';

/** A certificate and its private key, as PEM. */
export interface Certified {
  readonly certificate: string;
  readonly key: string;
}

const keyBits = 2048;
const authorityYears = 20;
/** The longest validity that clients accept. */
const serverDays = 825;
/** A server's certificate is renewed this long before its end. */
const renewDays = 30;
const dayMs = 86_400_000;
/** The clocks of other machines may be behind by this. */
const clockDays = 1;

/** Creates an authority that signs only certificates of servers. */
export function makeAuthority(nowMs: number): Certified {
  const subject = [{ name: 'commonName', value: 'Conclave credentials' }];
  return makeCertificate(subject, undefined, nowMs, authorityYears * 365, [
    { name: 'basicConstraints', cA: true, pathLenConstraint: 0, critical: true },
    { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
    { name: 'subjectKeyIdentifier' },
  ]);
}

/**
 * Creates the certificate of servers that are reached under these names and addresses; the servers also show it to each other.
 */
export function makeServerCertificate(hosts: readonly string[], authority: Certified, nowMs: number): Certified {
  const subject = [{ name: 'commonName', value: hosts[0] ?? 'nats' }];
  return makeCertificate(subject, authority, nowMs, serverDays, [
    { name: 'basicConstraints', cA: false, critical: true },
    { name: 'keyUsage', digitalSignature: true, keyEncipherment: true, critical: true },
    { name: 'extKeyUsage', serverAuth: true, clientAuth: true },
    {
      name: 'subjectAltName',
      altNames: hosts.map((host) => (isIP(host) ? { type: 7, ip: host } : { type: 2, value: host })),
    },
  ]);
}

/**
 * Whether a server can keep its certificate: it is signed by this authority, for all of these hosts, and valid for at least a
 * month.
 */
export function stillServes(pem: string, hosts: readonly string[], authority: Certified, nowMs: number): boolean {
  const certificate = new X509Certificate(pem);
  const signer = new X509Certificate(authority.certificate);
  if (!certificate.verify(signer.publicKey) || Date.parse(certificate.validTo) - nowMs < renewDays * dayMs)
    return false;
  return hosts.every((host) => (isIP(host) ? certificate.checkIP(host) : certificate.checkHost(host)) !== undefined);
}

/** @param authority signs the certificate; undefined: self-signed */
function makeCertificate(
  subject: forge.pki.CertificateField[],
  authority: Certified | undefined,
  nowMs: number,
  days: number,
  extensions: object[],
): Certified {
  const pair = generateKeyPairSync('rsa', {
    modulusLength: keyBits,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  const certificate = forge.pki.createCertificate();
  certificate.publicKey = forge.pki.publicKeyFromPem(pair.publicKey);
  // The number must be positive, so its first bit is not a random one.
  certificate.serialNumber = `01${randomBytes(15).toString('hex')}`;
  certificate.validity.notBefore = new Date(nowMs - clockDays * dayMs);
  certificate.validity.notAfter = new Date(nowMs + days * dayMs);
  certificate.setSubject(subject);
  certificate.setIssuer(
    authority === undefined ? subject : forge.pki.certificateFromPem(authority.certificate).subject.attributes,
  );
  certificate.setExtensions(extensions);
  certificate.sign(forge.pki.privateKeyFromPem(authority?.key ?? pair.privateKey), forge.md.sha256.create());
  return { certificate: forge.pki.certificateToPem(certificate), key: pair.privateKey };
}
