/** An operator, an account and its users, as `nsc` would make them: for servers that take credentials files. */
import { writeFileSync } from 'node:fs';
import { createAccount, createOperator, createUser, type KeyPair } from '@nats-io/nkeys';

export interface Permissions {
  readonly pub?: { readonly allow?: readonly string[]; readonly deny?: readonly string[] };
  readonly sub?: { readonly allow?: readonly string[]; readonly deny?: readonly string[] };
}

export class Operator {
  private readonly operator = createOperator();
  private readonly account = createAccount();

  /** Lines of a server's configuration. */
  get configuration(): string {
    return this.configurationWith({});
  }

  /** As `configuration`; users whose JWT was issued by then are rejected. @param seconds since 1970 */
  configurationRevoking(seconds: number): string {
    return this.configurationWith({ revocations: { '*': seconds } });
  }

  private configurationWith(more: object): string {
    const own = token(this.operator, this.operator, { type: 'operator' });
    const limits = { subs: -1, data: -1, payload: -1, imports: -1, exports: -1, wildcards: true, conn: -1, leaf: -1 };
    const account = token(this.operator, this.account, { type: 'account', limits, ...more });
    return `operator: ${own}\nresolver: MEMORY\nresolver_preload: { ${this.account.getPublicKey()}: ${account} }`;
  }

  /** Writes a user's credentials file. @param expires seconds since 1970; `issued` too */
  writeUser(file: string, expires?: number, permissions: Permissions = {}, issued?: number): void {
    const user = createUser();
    const nats = { type: 'user', pub: {}, sub: {}, subs: -1, data: -1, payload: -1, ...permissions };
    const jwt = token(this.account, user, nats, expires, issued);
    const seed = new TextDecoder().decode(user.getSeed());
    const block = (name: string, text: string) => `-----BEGIN ${name}-----\n${text}\n------END ${name}------\n\n`;
    writeFileSync(file, block('NATS USER JWT', jwt) + block('USER NKEY SEED', seed));
  }
}

function token(
  issuer: KeyPair,
  subject: KeyPair,
  nats: object,
  expires?: number,
  iat = Math.floor(Date.now() / 1000),
): string {
  const encoded = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const claims = {
    ...{ jti: String(iat), iat, iss: issuer.getPublicKey(), sub: subject.getPublicKey(), name: 'test' },
    ...(expires === undefined ? {} : { exp: expires }),
    nats: { version: 2, ...nats },
  };
  const body = `${encoded({ typ: 'JWT', alg: 'ed25519-nkey' })}.${encoded(claims)}`;
  return `${body}.${Buffer.from(issuer.sign(Buffer.from(body))).toString('base64url')}`;
}
