import { describe, expect, it } from 'vitest';
import {
  adminCommands,
  asGroupId,
  asPeerId,
  events,
  type GroupId,
  hostCommands,
  inboxPrefixOfRole,
  kvOperations,
  type MessageName,
  messages,
  PeerId,
  permissionsOf,
  type Recipient,
  readOperations,
  Subjects,
  type UserRole,
  userRoles,
  WatchId,
} from '../src/index.js';

const subjects = new Subjects('c');
const [main, other] = [asGroupId('main'), asGroupId('other')];
const [n1, n2] = [asPeerId('n1'), asPeerId('n2')];

/** As the NATS server matches. */
function matches(pattern: string, subject: string): boolean {
  const [wanted, tokens] = [pattern.split('.'), subject.split('.')];
  return (
    wanted.every(
      (token, at) => token === '>' || (tokens[at] !== undefined && (token === '*' || token === tokens[at])),
    ) && (wanted.at(-1) === '>' ? tokens.length >= wanted.length : tokens.length === wanted.length)
  );
}

function may(
  role: UserRole,
  what: 'publish' | 'subscribe',
  subject: string,
  groups: readonly GroupId[] = [main],
): boolean {
  const peer = role === 'peer' ? n1 : undefined;
  const inboxPrefix = inboxPrefixOfRole(role, peer);
  const scope = { prefix: 'c', groups, peer, inboxPrefix, replyPrefixes: ['_INBOX'], owner: 'me' };
  return permissionsOf(role, scope)[what].some((pattern) => matches(pattern, subject));
}

/** The roles that may. */
function allowed(what: 'publish' | 'subscribe', subject: string, groups?: readonly GroupId[]): UserRole[] {
  return userRoles.filter((role) => may(role, what, subject, groups));
}

/** All that is published in a peer's name. */
function inTheNameOf(from: PeerId, groupId: GroupId): string[] {
  const names = Object.keys(messages) as MessageName[];
  return [
    ...names.flatMap((name) => {
      const [recipient, word] = name.split('.') as [Recipient, string];
      return [n1, n2].map((peerId) => subjects.message({ groupId, peerId, recipient }, word, from));
    }),
    ...Object.keys(events).map((name) => subjects.event(groupId, name, from)),
    ...(['node', 'feed', 'log-store'] as const).map((recipient) => subjects.bundle(n2, recipient, from)),
    subjects.historyAnnouncement(groupId, from),
    subjects.groupList(from),
  ];
}

describe.each([
  ['one group', [main]],
  ['all groups', []],
] as const)('with permissions for %s', (_which, groups) => {
  it('a peer publishes in its own name alone, and nobody else in that of any', () => {
    for (const subject of inTheNameOf(n1, main)) expect(allowed('publish', subject, groups), subject).toEqual(['peer']);
    for (const subject of inTheNameOf(n2, main)) expect(allowed('publish', subject, groups), subject).toEqual([]);
    for (const subject of inTheNameOf(n1, main)) {
      const ofFirstVersion = subjects.ofFirstVersion(subject);
      // The question for the lists of all peers' groups has the shape of a request.
      expect(allowed('publish', ofFirstVersion, groups), ofFirstVersion).toEqual([]);
    }
  });

  it('admin commands are the operator’s; status is an observer’s too, and the group’s for a peer that founds it', () => {
    for (const name of Object.keys(adminCommands)) {
      const ofGroup = allowed('publish', subjects.groupRequest(main, 'admin', name), groups);
      expect(ofGroup, name).toEqual(name === 'status' ? ['peer', 'operator', 'observer'] : ['operator']);
      const ofPeer = allowed('publish', subjects.peerRequest(main, n2, 'admin', name), groups);
      expect(ofPeer, name).toEqual(['status', 'get_leader'].includes(name) ? ['operator', 'observer'] : ['operator']);
    }
    for (const name of Object.keys(hostCommands)) {
      const asked = allowed('publish', subjects.host(n2, name), groups);
      expect(asked, name).toEqual(name === 'list_groups' ? ['peer', 'operator', 'observer'] : ['operator']);
    }
  });

  it('operations on keys are the client’s; a reader reads', () => {
    for (const name of Object.keys(kvOperations)) {
      const reads = (readOperations as readonly string[]).includes(name);
      const asked = allowed('publish', subjects.groupRequest(main, 'kv', name), groups);
      expect(asked, name).toEqual(reads ? ['client', 'reader'] : ['client']);
    }
    expect(allowed('publish', subjects.peerRequest(main, n2, 'kv', 'get'), groups)).toEqual(['client', 'reader']);
    expect(allowed('publish', subjects.peerRequest(main, n2, 'kv', 'put'), groups)).toEqual(['client']);
  });

  it('requests and messages reach the peers to which they are sent, and operators that observe', () => {
    const message = (peerId: PeerId) => subjects.message({ groupId: main, peerId, recipient: 'node' }, 'ack', n2);
    expect(allowed('subscribe', message(n1), groups)).toEqual(['peer', 'operator']);
    expect(allowed('subscribe', message(n2), groups)).toEqual(['operator']);
    expect(allowed('subscribe', subjects.groupRequest(main, 'kv', 'put'), groups)).toEqual(['peer']);
    expect(allowed('subscribe', subjects.peerRequest(main, n2, 'kv', 'put'), groups)).toEqual([]);
    expect(allowed('subscribe', subjects.event(main, 'leader_elected', n2), groups)).toEqual([
      'operator',
      'client',
      'reader',
      'observer',
    ]);
    expect(allowed('subscribe', subjects.event(main, 'stage_changed', n2), groups)).toEqual(['operator', 'observer']);
  });

  it('replies are published by peers, below inboxes, and received by the sender of the request', () => {
    for (const role of userRoles) {
      const inbox = `${inboxPrefixOfRole(role, n1)}.x.1`;
      expect(allowed('publish', inbox, groups)).toEqual(['peer']);
      expect(allowed('subscribe', inbox, groups)).toEqual([role]);
    }
    expect(allowed('subscribe', '_INBOX.x', groups)).toEqual([]);
    expect(allowed('publish', '$SYS.REQ.SERVER.PING', groups)).toEqual([]);
    expect(allowed('publish', 'elsewhere', groups)).toEqual([]);
  });

  it('a watch is received under the owner’s name alone', () => {
    expect(allowed('subscribe', subjects.watch(main, 'me.x'), groups)).toEqual(['client', 'reader']);
    expect(allowed('subscribe', subjects.watch(main, 'you.x'), groups)).toEqual([]);
    expect(allowed('publish', subjects.watch(main, 'me.x'), groups)).toEqual(['peer']);
    expect(allowed('subscribe', subjects.watch(main, 'x'), groups)).toEqual([]);
  });

  it('a watch that names no owner, as those of the first version, is received by logins that may receive the watches of all owners', () => {
    for (const role of userRoles) {
      const scope = { prefix: 'c', groups, peer: n1, inboxPrefix: 'i', replyPrefixes: [] };
      const { subscribe } = permissionsOf(role, scope);
      const isPermitted = subscribe.some((pattern) => matches(pattern, subjects.watch(main, 'x')));
      expect(isPermitted, role).toBe(role === 'client' || role === 'reader');
    }
  });
});

it('permissions for one group are none for another', () => {
  const ofOther = [
    ...inTheNameOf(n1, other).filter((subject) => !subject.startsWith('c.admin.')),
    subjects.groupRequest(other, 'admin', 'status'),
    subjects.groupRequest(other, 'kv', 'get'),
    subjects.peerRequest(other, n2, 'kv', 'get'),
    subjects.health({ groupId: other, peerId: n1, recipient: 'node' }),
  ];
  for (const subject of ofOther) {
    expect(allowed('publish', subject, [main]), subject).toEqual([]);
    expect(allowed('publish', subject, [main, other]), subject).not.toEqual([]);
  }
  const received = [subjects.event(other, 'leader_elected', n1), subjects.watch(other, 'me.x')];
  for (const subject of received) expect(allowed('subscribe', subject, [main])).toEqual([]);
});

describe('names of peers that are words of subjects', () => {
  const words = new Set([
    ...[
      ...Object.keys(hostCommands),
      ...Object.keys(adminCommands),
      ...Object.keys(kvOperations),
      ...Object.keys(events),
    ],
    ...Object.keys(messages).flatMap((name) => name.split('.')),
    ...['admin', 'kv', 'event', 'feed', 'watch', 'history', 'health', 'groups', 'bundle', 'n1'],
  ]);
  const peers = [...words].flatMap((word) => {
    const parsed = PeerId.safeParse(word);
    return parsed.success ? [parsed.data] : [];
  });

  /** What the processes of no other peer may publish, about this one. */
  function ofAnother(peerId: PeerId): string[] {
    const names = Object.keys(messages) as MessageName[];
    const sent = names.flatMap((name) => {
      const [recipient, word] = name.split('.') as [Recipient, string];
      const subject = subjects.message({ groupId: main, peerId, recipient }, word, peerId);
      return [subject, subjects.ofFirstVersion(subject)];
    });
    const [group, bundle] = [subjects.groupList(peerId), subjects.bundle(peerId, 'node', peerId)];
    return [
      ...sent,
      ...Object.keys(adminCommands).map((name) => subjects.peerRequest(main, peerId, 'admin', name)),
      ...Object.keys(kvOperations).map((name) => subjects.peerRequest(main, peerId, 'kv', name)),
      ...Object.keys(hostCommands).flatMap((name) => (name === 'list_groups' ? [] : [subjects.host(peerId, name)])),
      ...[group, bundle].flatMap((subject) => [subject, subjects.ofFirstVersion(subject)]),
      subjects.health({ groupId: main, peerId, recipient: 'node' }),
      subjects.historyAnnouncement(main, peerId),
    ];
  }

  it('or of the owners of watches let nobody but peers publish what a watch receives', () => {
    const owners = [...words].filter((word) => WatchId.safeParse(`${word}.id`).success);
    expect(owners.length).toBeGreaterThan(50);
    for (const owner of owners) {
      const subject = subjects.watch(main, `${owner}.id`);
      for (const groups of [[main], []]) expect(allowed('publish', subject, groups), subject).toEqual(['peer']);
    }
  });

  it.each([
    ['one group', [main]],
    ['all groups', []],
  ] as const)(
    'give a peer no permission to send commands or to send as another peer, with permissions for %s',
    (_which, groups) => {
      expect(peers.length).toBeGreaterThan(50);
      const text = peers.flatMap((peerId) => ofAnother(peerId).map((subject) => `${peerId} ${subject}`)).join('\n');
      for (const peer of peers) {
        const scope = { prefix: 'c', groups, peer, inboxPrefix: '_I', replyPrefixes: ['_INBOX'] };
        const { publish } = permissionsOf('peer', scope);
        const patterns = publish.map((one) =>
          one.replace(/[.$]/g, '[$&]').replaceAll('*', '[^.\\n]+').replace('>', '.+'),
        );
        const allowedOnes = text.match(new RegExp(`^\\S+ (${patterns.join('|')})$`, 'gm')) ?? [];
        expect(allowedOnes.length, peer).toBeGreaterThan(0);
        expect(allowedOnes.filter((line) => !line.startsWith(`${peer} `))).toEqual([]);
      }
    },
  );
});
