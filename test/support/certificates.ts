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

  /**
   * @param names as certificates have them: `IP:127.0.0.1`, `DNS:localhost`
   * @param years in which the certificate is valid, from the first's beginning to the second's; undefined: for two days
   */
  sign(name: string, names: readonly string[], years?: readonly [number, number]): KeyPairFiles {
    const [certificate, key] = [path.join(this.folder, `${name}.pem`), path.join(this.folder, `${name}-key.pem`)];
    const [request, extension] = [path.join(this.folder, `${name}.csr`), path.join(this.folder, `${name}.ext`)];
    openssl(['req', '-new', '-subj', `/CN=${name}`, '-keyout', key, '-out', request, ...newKey]);
    writeFileSync(extension, `subjectAltName=${names.join(',')}\nextendedKeyUsage=serverAuth,clientAuth\n`);
    const files = ['-in', request, '-out', certificate, '-extfile', extension];
    if (years === undefined) {
      const authority = ['-CA', this.certificate, '-CAkey', this.key, '-CAcreateserial'];
      openssl(['x509', '-req', '-days', '2', ...files, ...authority]);
    } else {
      const [from, to] = years.map((year) => `${year}0101000000Z`) as [string, string];
      const authority = ['-config', this.configuration(), '-cert', this.certificate, '-keyfile', this.key];
      openssl(['ca', '-batch', '-notext', '-startdate', from, '-enddate', to, ...files, ...authority]);
    }
    return { certificate, key };
  }

  /** The file that `openssl ca` needs, with the empty list of certificates that it keeps. */
  private configuration(): string {
    const [file, database] = ['ca.conf', 'ca.index'].map((name) => path.join(this.folder, name)) as [string, string];
    writeFileSync(database, '');
    const own = `database = ${database}\nnew_certs_dir = ${this.folder}\nrand_serial = yes\ndefault_md = sha256`;
    writeFileSync(file, `[ca]\ndefault_ca = own\n[own]\n${own}\npolicy = names\n[names]\ncommonName = supplied\n`);
    return file;
  }
}

/** A certificate and its key: paths of files. */
export interface KeyPairFiles {
  readonly certificate: string;
  readonly key: string;
}

/** Rewrites a key so that it needs a passphrase. */
export function encryptKey(key: string, out: string, passphrase: string): void {
  openssl(['pkcs8', '-topk8', '-in', key, '-out', out, '-passout', `pass:${passphrase}`]);
}

const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];

function openssl(args: readonly string[]): void {
  execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'ignore'] });
}
