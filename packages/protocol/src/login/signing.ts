/**
 * Signs the server's challenge for logins with an nkey. The library's signature is plain JavaScript and takes tens of milliseconds of a
 * slow processor; a process whose login is rejected signs several times a second, and could do nothing else. Node.js signs a
 * thousand times faster.
 */
import { createPrivateKey, sign } from 'node:crypto';
import type { Authenticator, JwtAuth, NKeyAuth } from 'nats';

/** What precedes the 32 bytes of an Ed25519 key in PKCS #8. */
const keyHead = Buffer.from('302e020100300506032b657004220420', 'hex');
/** An encoded seed: two bytes of prefix, the key, two bytes of checksum. */
const [prefixBytes, keyBytes] = [2, 32];
const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';

/** Secrets that were checked lately, so that one that has not changed is not checked again. */
const rememberedSecrets = 8;
const remembered = new Map<string, Authenticator>();

/**
 * @param secret from which `ofLibrary` was made
 * @param seed in it: `SU...`
 * @param ofLibrary makes the authenticator that checks the seed and knows the public key
 * @returns an authenticator with the same results. @throws Error if the library's authenticator throws
 */
export function signingAuthenticator(secret: string, seed: string, ofLibrary: () => Authenticator): Authenticator {
  const known = remembered.get(secret);
  if (known !== undefined) return known;
  const auth = ofLibrary()('nonce') as NKeyAuth | JwtAuth;
  const key = createPrivateKey({ key: Buffer.concat([keyHead, rawKey(seed)]), format: 'der', type: 'pkcs8' });
  const signed = (nonce: string): string => sign(null, Buffer.from(nonce), key).toString('base64');
  const made: Authenticator = (nonce) => ({ ...auth, sig: nonce ? signed(nonce) : '' });
  if (remembered.size >= rememberedSecrets) remembered.clear();
  remembered.set(secret, made);
  return made;
}

function rawKey(seed: string): Uint8Array {
  const bytes: number[] = [];
  let [bits, width] = [0, 0];
  for (const letter of seed) {
    bits = (bits << 5) | alphabet.indexOf(letter);
    width += 5;
    if (width < 8) continue;
    width -= 8;
    bytes.push((bits >> width) & 0xff);
    bits &= (1 << width) - 1;
  }
  return Uint8Array.from(bytes.slice(prefixBytes, prefixBytes + keyBytes));
}
