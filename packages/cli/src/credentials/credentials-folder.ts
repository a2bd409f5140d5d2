/**
 * A folder with the credentials of a deployment with NATS servers of its own that accept no other logins: a key for each peer and
 * each role, certificates, and the configuration of the servers. Existing keys are kept, and their peers stay permitted, so that
 * the command can run at every start, and again for another peer. A peer whose folder was deleted is no longer permitted.
 *
 *     authority/                ca.pem, ca-key.pem: signs certificates of servers
 *     nats/                     nats.conf, server.pem, server-key.pem, ca.pem
 *     peer-<name>/ <role>/      login.nk (the secret), ca.pem (the trusted authority)
 */
import { randomBytes } from 'node:crypto';
import { chownSync, existsSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import {
  type GroupId,
  inboxPrefixOfRole,
  PeerId,
  type Permissions,
  permissionsOf,
  type UserRole,
  userRoles,
} from '@conclave/protocol';
import { nkeys } from 'nats';
import { makeFolder } from '../make-folder.js';
import { type Certified, makeAuthority, makeServerCertificate, stillServes } from './certificates.js';
import { serverConfiguration, type User } from './server-configuration.js';

export interface CredentialsOptions {
  readonly folder: string;
  /** Peers in addition to those that have a key in the folder. */
  readonly peers: readonly PeerId[];
  /** The groups of clients, readers and observers; empty: all. */
  readonly groups: readonly GroupId[];
  readonly prefix: string;
  /** Names and addresses under which the servers are reached. */
  readonly hosts: readonly string[];
  /** The servers of the cluster; empty: one server alone. */
  readonly routes: readonly string[];
  /** The path of the folder `nats` on the servers. */
  readonly natsFolder: string;
  /** The user id that becomes the owner of the files of peers and roles; undefined: the owner is not changed. */
  readonly owner?: number | undefined;
  readonly nowMs: number;
}

/** The prefix of a folder's name, before the name of the peer. */
const peerFolder = 'peer-';
/** Only the owner of a secret can read it. */
const secretMode = 0o600;
const openMode = 0o644;

/**
 * Creates what is missing.
 * @returns the files that were written, relative to the folder
 */
export function makeCredentials(options: CredentialsOptions): string[] {
  const { folder, hosts, routes, natsFolder, owner, nowMs } = options;
  const peers = [...new Set([...peersIn(folder), ...options.peers])].sort();
  const files = new Files(folder);
  const authority = files.certified('authority/ca.pem', 'authority/ca-key.pem', () => makeAuthority(nowMs));
  files.certified(
    'nats/server.pem',
    'nats/server-key.pem',
    () => makeServerCertificate(hosts, authority, nowMs),
    (certificate) => stillServes(certificate, hosts, authority, nowMs),
  );
  files.write('nats/ca.pem', authority.certificate, openMode);
  const users = [
    ...peers.map((peer) => makeUser(files, `${peerFolder}${peer}`, permissionsFor(options, 'peer', peer))),
    ...userRoles.filter((role) => role !== 'peer').map((role) => makeUser(files, role, permissionsFor(options, role))),
  ];
  for (const { name } of users) {
    files.write(`${name}/ca.pem`, authority.certificate, openMode);
    if (owner !== undefined) files.changeOwner(owner, [`${name}/login.nk`, `${name}/ca.pem`]);
  }
  const routePassword = files.kept('nats/route-password', () => randomBytes(24).toString('base64url'), secretMode);
  files.write('nats/nats.conf', serverConfiguration({ users, folder: natsFolder, routes, routePassword }), secretMode);
  return files.made;
}

/** Returns the peers that have a key in the folder. A later run that does not name a peer keeps its login. */
function peersIn(folder: string): PeerId[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder).flatMap((name) => {
    const peer = PeerId.safeParse(name.startsWith(peerFolder) ? name.slice(peerFolder.length) : '');
    return peer.success && existsSync(path.join(folder, name, 'login.nk')) ? [peer.data] : [];
  });
}

function permissionsFor({ prefix, groups }: CredentialsOptions, role: UserRole, peer?: PeerId): Permissions {
  const isOfAll = role === 'peer' || role === 'operator';
  const inboxPrefix = inboxPrefixOfRole(role, peer);
  return permissionsOf(role, { prefix, groups: isOfAll ? [] : groups, peer, inboxPrefix, replyPrefixes: ['_INBOX'] });
}

function makeUser(files: Files, name: string, permissions: Permissions): User {
  const seed = files.kept(`${name}/login.nk`, () => new TextDecoder().decode(nkeys.createUser().getSeed()), secretMode);
  return { name, publicKey: nkeys.fromSeed(new TextEncoder().encode(seed.trim())).getPublicKey(), permissions };
}

/** Writes files below a folder, each atomically. */
class Files {
  readonly made: string[] = [];

  constructor(private readonly folder: string) {}

  /** Returns the content of the file, which is created if it is missing. */
  kept(name: string, make: () => string, mode: number): string {
    const file = path.join(this.folder, name);
    if (existsSync(file)) return readFileSync(file, 'utf8');
    const text = make();
    this.write(name, text, mode);
    return text;
  }

  /** A certificate and its key: both are kept while the certificate is usable; otherwise both are created again. */
  certified(
    certificateName: string,
    keyName: string,
    make: () => Certified,
    serves: (certificate: string) => boolean = () => true,
  ): Certified {
    const certificateFile = path.join(this.folder, certificateName);
    const keyFile = path.join(this.folder, keyName);
    if (existsSync(certificateFile) && existsSync(keyFile)) {
      const there = { certificate: readFileSync(certificateFile, 'utf8'), key: readFileSync(keyFile, 'utf8') };
      if (serves(there.certificate)) return there;
    }
    const made = make();
    this.write(keyName, made.key, secretMode);
    this.write(certificateName, made.certificate, openMode);
    return made;
  }

  /** @throws Error if this process may not change the owner of files */
  changeOwner(owner: number, names: readonly string[]): void {
    for (const name of names) chownSync(path.join(this.folder, name), owner, owner);
  }

  /** Writes the file if the content differs: after a crash it has the old content or the new one. */
  write(name: string, text: string, mode: number): void {
    const file = path.join(this.folder, name);
    const exists = existsSync(file);
    if (exists && readFileSync(file, 'utf8') === text) return;
    makeFolder(path.dirname(file));
    writeFileSync(`${file}.new`, text, { mode });
    renameSync(`${file}.new`, file);
    this.made.push(name);
  }
}
