/** The configuration of NATS servers that accept these logins, over TLS, and no others. */
import type { Permissions } from '@conclave/protocol';

/** A user that may log in with a key, of which the server has the public half. */
export interface User {
  readonly name: string;
  readonly publicKey: string;
  readonly permissions: Permissions;
}

export interface ServerConfiguration {
  readonly users: readonly User[];
  /** The path of the folder with the certificates, on the servers. */
  readonly folder: string;
  /** The servers of the cluster, by host name; empty: one server alone. */
  readonly routes: readonly string[];
  /** The credentials of the servers among each other. */
  readonly routePassword: string;
}

/** The user name of the servers among each other; the password is below. */
const routeUser = 'route';
export const natsPort = 4222;
/** How long a login may take: NATS's default of two seconds is too short if four processes start at once on a slow core. */
const loginSeconds = 10;
const routePort = 6222;
const monitorPort = 8222;

/** @returns the text of a file for `nats-server -c`; the variable NATS_SERVER_NAME of each server has its name */
export function serverConfiguration({ users, folder, routes, routePassword }: ServerConfiguration): string {
  const tls = (indent: string) =>
    [
      'tls {',
      `  cert_file: ${JSON.stringify(`${folder}/server.pem`)}`,
      `  key_file: ${JSON.stringify(`${folder}/server-key.pem`)}`,
      `  ca_file: ${JSON.stringify(`${folder}/ca.pem`)}`,
      `  timeout: ${loginSeconds}`,
      '}',
    ]
      .map((line) => indent + line)
      .join('\n');
  const lines = [
    '# Written by `conclave credentials`, which replaces this file at each run: your changes to it are lost.',
    'server_name: $NATS_SERVER_NAME',
    `listen: 0.0.0.0:${natsPort}`,
    `http: 127.0.0.1:${monitorPort}`,
    tls(''),
    'authorization {',
    `  timeout: ${loginSeconds}`,
    '  users: [',
    ...users.map(userLines),
    '  ]',
    '}',
  ];
  if (routes.length === 0) return `${lines.join('\n')}\n`;
  return `${[
    ...lines,
    'cluster {',
    '  name: conclave',
    `  listen: 0.0.0.0:${routePort}`,
    '  no_advertise: true',
    `  authorization { user: ${routeUser}, password: ${JSON.stringify(routePassword)} }`,
    `  routes: [${routes.map((host) => JSON.stringify(`nats-route://${routeUser}:${routePassword}@${host}:${routePort}`)).join(', ')}]`,
    tls('  '),
    '}',
  ].join('\n')}\n`;
}

function userLines({ name, publicKey, permissions }: User): string {
  const allowed = (subjects: readonly string[]) =>
    `{ allow: [${subjects.map((subject) => JSON.stringify(subject)).join(', ')}] }`;
  return [
    `    # ${name}`,
    '    {',
    `      nkey: ${publicKey}`,
    '      permissions {',
    `        publish: ${allowed(permissions.publish)}`,
    `        subscribe: ${allowed(permissions.subscribe)}`,
    '      }',
    '    }',
  ].join('\n');
}
