/** Certificates for tests, created with openssl. */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';

/** A certificate authority in a folder, and the certificates that it signs there. */
export class Authority {
  readonly certificate: string;
  private readonly key: string;

  constructor(
    private readonly folder: string,
    name: string,
  ) {
    this.certificate = path.join(folder, `${name}.pem`);
    this.key = path.join(folder, `${name}-key.pem`);
    openssl([
      ...['req', '-x509', '-days', '2', '-subj', `/CN=${name}`, '-keyout', this.key, '-out', this.certificate],
      ...newKey,
    ]);
  }

  /** @param names as certificates have them: `IP:127.0.0.1`, `DNS:localhost` */
  sign(name: string, names: readonly string[]): { readonly certificate: string; readonly key: string } {
    const [certificate, key] = [path.join(this.folder, `${name}.pem`), path.join(this.folder, `${name}-key.pem`)];
    const [request, extension] = [path.join(this.folder, `${name}.csr`), path.join(this.folder, `${name}.ext`)];
    openssl(['req', '-new', '-subj', `/CN=${name}`, '-keyout', key, '-out', request, ...newKey]);
    writeFileSync(extension, `subjectAltName=${names.join(',')}\nextendedKeyUsage=serverAuth,clientAuth\n`);
    openssl([
      ...['x509', '-req', '-days', '2', '-in', request, '-out', certificate, '-extfile', extension],
      ...['-CA', this.certificate, '-CAkey', this.key, '-CAcreateserial'],
    ]);
    return { certificate, key };
  }
}

const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];

function openssl(args: readonly string[]): void {
  execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'ignore'] });
}
