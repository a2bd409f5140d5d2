/** `conclave permissions`: prints the subjects that a role needs, for the configuration of NATS. It sends no requests. */
import {
  defaultPrefix,
  type GroupId,
  inboxPrefixOfRole,
  type PeerId,
  type Permissions,
  permissionsOf,
  Subjects,
  tokenPattern,
  type UserRole,
  userRoles,
  WatchId,
} from '@conclave/protocol';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { UsageError } from '../exit-codes.js';
import { defaultGroup, parseGroup, parsePeer, parsePrefix, splitList } from '../options.js';
import type { Output } from '../output.js';
import { runAction } from '../run-action.js';

const formats = ['nats-server', 'nsc', 'json'] as const;

interface PermissionsOptions {
  readonly role: UserRole;
  readonly peer?: PeerId;
  readonly group?: readonly GroupId[];
  readonly allGroups: boolean;
  readonly prefix: string;
  readonly inboxPrefix?: string;
  readonly replyPrefix?: readonly string[];
  readonly owner?: string;
  readonly user?: string;
  readonly account?: string;
  readonly format: (typeof formats)[number];
  readonly json: boolean;
}

/** The permissions of a role, and the user that they are for. */
interface Printed extends Permissions {
  readonly role: UserRole;
  readonly peer?: PeerId | undefined;
  /** Empty: all groups. */
  readonly groups: readonly GroupId[];
  readonly inboxPrefix: string;
}

export function registerPermissions(program: Command): void {
  program
    .command('permissions')
    .description('print the subjects that a role needs, for a configuration of NATS')
    .addOption(new Option('--role <role>', 'the role').choices(userRoles).makeOptionMandatory())
    .addOption(new Option('--peer <name>', 'which peer, with --role peer').argParser(parsePeer))
    .addOption(
      new Option(
        '--group <names>',
        'only these groups; may be repeated (default: all for a peer and an operator, otherwise main)',
      ).argParser(parseGroups),
    )
    .option('--all-groups', 'all groups', false)
    .addOption(
      new Option('--prefix <subject>', 'the first tokens of all subjects')
        .env('CONCLAVE_PREFIX')
        .argParser(parsePrefix)
        .default(defaultPrefix),
    )
    .addOption(
      new Option(
        '--inbox-prefix <subject>',
        'the inbox of its replies: its --nats-inbox-prefix (default: _INBOX.<role>, for a peer _INBOX.peer.<name>)',
      ).argParser(parseSubject),
    )
    .addOption(
      new Option(
        '--reply-prefix <subject>',
        'the inboxes to which a peer may reply; may be repeated (default: _INBOX)',
      ).argParser((text: string, before: readonly string[] | undefined) => [...(before ?? []), parseSubject(text)]),
    )
    .addOption(
      new Option(
        '--owner <name>',
        'the name that the watches of a client or reader must have (default: any)',
      ).argParser(parseOwner),
    )
    .addOption(new Option('--user <name>', 'with nsc: the name of the user').argParser(parseToken))
    .addOption(new Option('--account <name>', 'with nsc: its account').argParser(parseToken))
    .addOption(new Option('--format <format>', 'the output format').choices(formats).default('nats-server'))
    .option('--json', 'the same as --format json', false)
    .action((options: PermissionsOptions) => runAction(options, async (output) => print(options, output)));
}

function print(options: PermissionsOptions, output: Output): void {
  const printed = permissionsFor(options);
  const format = options.json ? 'json' : options.format;
  if (format === 'json') return output.line(asJson(printed));
  output.line(format === 'nsc' ? asNsc(printed, options) : asServerConfiguration(printed));
}

/** @throws UsageError if the role and the peer do not fit together */
function permissionsFor(options: PermissionsOptions): Printed {
  const { role, peer, prefix, owner, allGroups } = options;
  if ((role === 'peer') !== (peer !== undefined)) {
    throw new UsageError(role === 'peer' ? 'the role peer needs --peer <name>' : '--peer needs the role peer');
  }
  if (owner !== undefined && role !== 'client' && role !== 'reader') {
    throw new UsageError('--owner needs the role client or reader');
  }
  if (allGroups && options.group !== undefined) throw new UsageError('--group or --all-groups, not both');
  const hasAllGroups = allGroups || role === 'peer' || role === 'operator';
  const groups = options.group ?? (hasAllGroups ? [] : [defaultGroup]);
  const inboxPrefix = options.inboxPrefix ?? inboxPrefixOfRole(role, peer);
  const replyPrefixes = options.replyPrefix ?? ['_INBOX'];
  for (const inbox of [inboxPrefix, ...replyPrefixes]) refuseOverlap(inbox, prefix);
  const permissions = permissionsOf(role, { prefix, groups, peer, inboxPrefix, replyPrefixes, owner });
  return { role, peer, groups, inboxPrefix, ...permissions };
}

/** @throws UsageError if a permission for an inbox would also permit subjects of Conclave. */
function refuseOverlap(inbox: string, prefix: string): void {
  const [one, other] = [`${inbox}.`, `${prefix}.`];
  if (!one.startsWith(other) && !other.startsWith(one)) return;
  throw new UsageError(`${inbox} is no place for replies: the subjects of Conclave are below ${prefix}`);
}

function asServerConfiguration(printed: Printed): string {
  const list = (subjects: readonly string[]) =>
    subjects.map((subject) => `      ${JSON.stringify(subject)}`).join('\n');
  const block = (name: string, subjects: readonly string[]) => [
    `  ${name}: {`,
    '    allow: [',
    list(subjects),
    '    ]',
    '  }',
  ];
  return [
    ...heading(printed),
    'permissions: {',
    ...block('publish', printed.publish),
    ...block('subscribe', printed.subscribe),
    '}',
  ].join('\n');
}

function asNsc(printed: Printed, { user, account }: PermissionsOptions): string {
  const name = user ?? printed.peer ?? printed.role;
  const quoted = (subjects: readonly string[]) => `'${subjects.join(',')}'`;
  const parts = [
    `nsc add user ${name}`,
    ...(account === undefined ? [] : [`--account ${account}`]),
    `--allow-pub ${quoted(printed.publish)}`,
    `--allow-sub ${quoted(printed.subscribe)}`,
  ];
  return [...heading(printed), parts.join(' \\\n  ')].join('\n');
}

function asJson({ role, peer, groups, inboxPrefix, publish, subscribe }: Printed): string {
  const whose = { role, ...(peer === undefined ? {} : { peer }), groups: groups.length === 0 ? ['*'] : groups };
  const permissions = { publish: { allow: publish }, subscribe: { allow: subscribe } };
  return JSON.stringify({ ...whose, inbox_prefix: inboxPrefix, permissions }, undefined, 2);
}

function heading({ role, peer, groups, inboxPrefix }: Printed): string[] {
  const whose = peer === undefined ? role : `${role} ${peer}`;
  const which = groups.length === 0 ? 'all groups' : `of ${groups.join(', ')}`;
  const replies =
    role === 'peer' ? `replies arrive below ${inboxPrefix}` : `to be used with --nats-inbox-prefix ${inboxPrefix}`;
  return [`# ${whose}, ${which}; ${replies}`];
}

function parseGroups(text: string, before: readonly GroupId[] | undefined): GroupId[] {
  const groups = splitList(text).map(parseGroup);
  if (groups.length === 0) throw new InvalidArgumentError('name at least one group.');
  return [...(before ?? []), ...groups];
}

/** A subject or its first tokens, without wildcards. */
function parseSubject(text: string): string {
  try {
    return new Subjects(text).prefix;
  } catch {
    throw new InvalidArgumentError('tokens of letters, digits, "_" and "-", joined by dots, are wanted.');
  }
}

function parseOwner(text: string): string {
  if (WatchId.safeParse(`${text}.id`).success) return text;
  throw new InvalidArgumentError('letters, digits, "_" and "-" are wanted, and no reserved name.');
}

function parseToken(text: string): string {
  if (tokenPattern.test(text)) return text;
  throw new InvalidArgumentError('letters, digits, "_" and "-" are wanted.');
}
