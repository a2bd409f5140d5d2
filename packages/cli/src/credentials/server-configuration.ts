/** The configuration of NATS servers that take these logins, over TLS, and no others. */
import type { Permissions } from '@conclave/protocol';

/** Someone who may log in: by a key, of which the server has the public half. */
export interface User {
  readonly name: string;
  readonly publicKey: string;
  readonly permissions: Permissions;
}

export interface ServerConfiguration {
  readonly users: readonly User[];
  /** The folder of the certificates, as the servers see it. */
  readonly folder: string;
  /** The servers of the cluster, by host name; empty: one server alone. */
  readonly routes: readonly string[];
  /** What the servers of the cluster show each other. */
  readonly routePassword: string;
}

/** Who has the password below is a server of the cluster. */
const routeUser = 'route';
export const natsPort = 4222;
/** So long may a login take: NATS’s own two seconds are too short where four processes start at once on one slow core. */
const loginSeconds = 10;
const routePort = 6222;
const monitorPort = 8222;

/** @returns the text of a file for `nats-server -c`; each server is told its name by the variable NATS_SERVER_NAME */
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
    '# Written by `conclave credentials`, anew at each run: what you change here is lost.',
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
