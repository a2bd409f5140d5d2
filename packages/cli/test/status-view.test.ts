import { asLogIndex, asPeerId, asTerm } from '@conclave/protocol';
import { describe, expect, it } from 'vitest';
import { newestConfiguration } from '../src/views/newest-configuration.js';
import type { PeerReply } from '../src/views/peer-reply.js';
import { peersOf, peerText, statusText } from '../src/views/status-view.js';
import { configuration, progress, status } from './status-samples.js';

const silent: PeerReply = { error: { code: 'EUNREACHABLE', message: 'nobody listens', outcome: 'not_done' } };

describe('the status of a group', () => {
  it('the status has a row for each peer, and distinguishes the leader, and peers that are up to date, lag, never answered, are rejected or spare', () => {
    const group = status('n1', {
      role: 'leader',
      configuration: configuration(['n1', 'n4', 'n5', 'n8'], ['n1', 'n2', 'n3']),
      stage: 'joint',
      lacking: { peers: [asPeerId('n4'), asPeerId('n5')], old_peers: [] },
      progress: [
        progress('n2'),
        progress('n3', { match_index: asLogIndex(1000), caught_up: false, silent_ms: 2500 }),
        progress('n4', { match_index: asLogIndex(0), caught_up: false, silent_ms: -1, state: 'identify' }),
        progress('n7'),
        progress('n8', {
          match_index: asLogIndex(0),
          caught_up: false,
          state: 'install',
          install: { index: asLogIndex(4000), chunks: 8, stored: 3, bytes: 2_000_000 },
        }),
        progress('n5', { match_index: asLogIndex(0), caught_up: false, state: 'refused', refusal: 'ENOTEMPTY' }),
      ],
      changes: [
        {
          kind: 'change',
          old_peers: ['n1', 'n2'].map(asPeerId),
          new_peers: ['n1', 'n2', 'n3'].map(asPeerId),
          state: 'done',
          stage: 'stable',
          term: asTerm(0),
          index: asLogIndex(2),
        },
        {
          kind: 'change',
          old_peers: ['n1', 'n2', 'n3'].map(asPeerId),
          new_peers: ['n9'].map(asPeerId),
          state: 'undone',
          stage: 'catching_up',
          term: asTerm(3),
          index: asLogIndex(0),
          error: { code: 'ECATCHUP', message: 'n9 did not catch up', outcome: 'not_done' },
        },
      ],
    });
    const peers = new Map<ReturnType<typeof asPeerId>, PeerReply>([
      [asPeerId('n1'), { status: group }],
      [asPeerId('n2'), { status: status('n2') }],
      [asPeerId('n3'), { status: status('n3', { health: { healthy: false, reason: 'fenced' } }) }],
      [asPeerId('n4'), silent],
      [asPeerId('n5'), { status: status('n5', { term: asTerm(1) }) }],
      [asPeerId('n8'), { status: status('n8') }],
      [asPeerId('n7'), { status: status('n7', { health: { healthy: false, reason: 'removed' } }) }],
      [asPeerId('n6'), { status: status('n6', { term: asTerm(0) }) }],
    ]);
    expect(`\n${statusText('main', { group, peers })}\n`).toMatchInlineSnapshot(`
      "
      group          main (uid)
      leader         n1
      term           3
      feature level  0 (this peer: the first version, supports 0)
      configuration  {n1,n4,n5,n8} and {n1,n2,n3} (joint) at index 2
      stage          joint; missing votes: n4, n5 of the new set
      log            1 to 5,000, the last of term 3
      commit         5,000, applied 4,990

      peer  role      term   match     lag  state                                  silent  build    restart  health
      n1    leader       3   5,000       0  leader                                      -  level 0  -        healthy
      n2    follower     3   5,000       0  up to date                              12 ms  level 0  -        healthy
      n3    follower     3  1,000*  4,000*  silent for 2 s                         2.50 s  level 0  -        fenced
      n4    -            -       0   5,000  down, never answered           never answered  -        -        does not answer
      n5    follower     1       0   5,000  rejected: ENOTEMPTY                     12 ms  level 0  -        healthy
      n8    follower     3       0   5,000  installing a snapshot at 37 %           12 ms  level 0  -        healthy
      n7    follower     3   5,000       0  not in the group                        12 ms  level 0  -        removed
      n6    follower     0       -       -  not in the group                            -  level 0  -        healthy

      * last known: the peer is silent, down or stores nothing now

      last changes           state   term  index  why
      {n1,n2} to {n1,n2,n3}  done       -      2
      {n1,n2,n3} to {n9}     undone     3      -  ECATCHUP: n9 did not catch up
      "
    `);
  });

  it('the status does not report that no peer leads while one does that no quorum confirms any more', () => {
    const peers = new Map([[asPeerId('n1'), { status: status('n1', { role: 'leader' }) }]]);
    expect(statusText('main', { group: undefined, peers })).toMatch(
      /^group main: n1 still leads, and no quorum confirms that: nobody answers for the group\n/,
    );
  });

  it('the status without a leader shows what the peers report', () => {
    const peers = new Map([[asPeerId('n2'), { status: status('n2', { leader_id: '' }) }]]);
    expect(`\n${statusText('main', { group: undefined, peers })}\n`).toMatchInlineSnapshot(`
      "
      group main: nobody leads

      peer  role      term  match  lag  state  silent  build    restart  health
      n2    follower     3      -    -  -           -  level 0  -        healthy
      "
    `);
  });

  it('promise 27: describes the present: a peer that is silent, down or stores nothing is not up to date', () => {
    const group = status('n1', {
      role: 'leader',
      configuration: configuration(['n1', 'n2', 'n3', 'n4', 'n5']),
      progress: [
        progress('n2', { silent_ms: 14_200, stored_ms: 14_300 }),
        progress('n3', { silent_ms: 40 }),
        progress('n4', { silent_ms: 40, stored_ms: 5000 }),
        progress('n5', { silent_ms: 40, stored_ms: 60 }),
      ],
    });
    const peers = new Map<ReturnType<typeof asPeerId>, PeerReply>([
      [asPeerId('n2'), { error: { code: 'ETIMEDOUT', message: 'no answer', outcome: 'not_done' } }],
      [asPeerId('n3'), silent],
      [asPeerId('n4'), { status: status('n4') }],
      [asPeerId('n5'), { status: status('n5') }],
    ]);
    const text = statusText('main', { group, peers });
    expect(text).toMatch(/^n2 .* 5,000\* +0\* +silent for 14 s /m);
    expect(text).toMatch(/^n3 .* 5,000\* +0\* +down /m);
    expect(text).toMatch(/^n4 .* 5,000 +0 +stores nothing for 5 s |^n4 .* 5,000\* +0\* +stores nothing for 5 s /m);
    expect(text).toMatch(/^n5 .* 5,000 +0 +up to date /m);
    expect(text).toContain('* last known: the peer is silent, down or stores nothing now');
    expect(text.match(/up to date/g)).toHaveLength(1);
  });

  it('promise 27: considers a peer silent after the election timeout of the group, whatever the default is', () => {
    const text = (election_timeout_ms: number) => {
      const targets = [progress('n2', { silent_ms: 2500 }), progress('n3', { silent_ms: 40, stored_ms: 2500 })];
      const fields = { role: 'leader', configuration: configuration(['n1', 'n2', 'n3']), progress: targets } as const;
      const peers = new Map(['n2', 'n3'].map((name) => [asPeerId(name), { status: status(name) }]));
      return statusText('main', { group: status('n1', { ...fields, election_timeout_ms }), peers });
    };
    expect(text(3000).match(/up to date/g)).toHaveLength(2);
    expect(text(3000)).not.toContain('* last known');
    expect(text(2000)).toMatch(/^n2 .* 5,000\* +0\* +silent for 2 s /m);
    expect(text(2000)).toMatch(/^n3 .* 5,000\* +0\* +stores nothing for 2 s /m);
  });

  it('reports why peers store no entries, and how much disk space is free', () => {
    const group = status('n1', {
      role: 'leader',
      read_only: 'told',
      disk_free_bytes: 3 * 2 ** 30,
      progress: [progress('n2', { read_only: true }), progress('n3')],
    });
    const peers = new Map([
      [asPeerId('n1'), { status: group }],
      [asPeerId('n2'), { status: status('n2', { read_only: 'disk', disk_free_bytes: 5 * 2 ** 20 }) }],
      [asPeerId('n3'), { status: status('n3') }],
    ]);
    const text = statusText('main', { group, peers });
    expect(text).toContain('leader, read-only: by an operator, 3.0 GiB free');
    expect(text).toContain('read-only: disk full, 5.0 MiB free');
  });

  it('without a leader: the newest configuration that a peer knows, which peers are missing, and where to read more', () => {
    const old = status('n2', { leader_id: '', configuration: configuration(['n1', 'n2', 'n9']) });
    const stuck = { healthy: false, reason: 'silent: log-store' };
    const newer = {
      configuration: configuration(['n1', 'n4', 'n5']),
      configuration_index: asLogIndex(40),
      leader_id: '',
    } as const;
    const answers = new Map<ReturnType<typeof asPeerId>, PeerReply>([
      [asPeerId('n1'), { status: status('n1', { ...newer, health: stuck }) }],
      [asPeerId('n2'), { status: old }],
      [asPeerId('n4'), { status: status('n4', newer) }],
      [asPeerId('n5'), silent],
    ]);
    const newest = newestConfiguration(answers);
    expect(newest?.quorum).toEqual([{ set: 'peers', available: 1, needed: 2, missing: ['n1', 'n5'] }]);
    const peers = new Map([...answers].filter(([name]) => name !== 'n2'));
    expect(`\n${statusText('main', { group: undefined, newest, peers })}\n`).toMatchInlineSnapshot(`
      "
      group main: nobody leads

      configuration  {n1,n4,n5} at index 40, the newest found, in the log of n1, n4
      quorum         1 of 3 are available, and 2 are needed: 1 more must come back; missing: n1, n5
      read next      docs/operations.md, section "The group has no leader"

      peer  role      term  match  lag  state  silent  build    restart  health
      n1    follower     3      -    -  -           -  level 0  -        silent: log-store
      n4    follower     3      -    -  -           -  level 0  -        healthy
      n5    -            -      -    -  down        -  -        -        does not answer
      "
    `);
  });

  it('without a leader, in the joint stage, counts both sets; a store that is not the bound one is missing', () => {
    const joint = {
      configuration: configuration(['n1', 'n4', 'n5'], ['n1', 'n2', 'n3']),
      configuration_index: asLogIndex(9),
    };
    const answers = new Map<ReturnType<typeof asPeerId>, PeerReply>(
      ['n1', 'n2', 'n4'].map((name) => [asPeerId(name), { status: status(name, joint) }]),
    );
    answers.set(asPeerId('n5'), { status: status('n5', { ...joint, store_id: 'another' as never }) });
    expect(newestConfiguration(answers)?.quorum).toEqual([
      { set: 'peers', available: 2, needed: 2, missing: ['n5'] },
      { set: 'old_peers', available: 2, needed: 2, missing: ['n3'] },
    ]);
    expect(newestConfiguration(new Map([[asPeerId('n5'), silent]]))).toBeUndefined();
  });

  it('without a leader, in the joint stage, expects an election only if both sets have a quorum', () => {
    const joint = { configuration: configuration(['n1', 'n4', 'n5'], ['n1', 'n2', 'n3']), leader_id: '' } as const;
    const textOf = (...available: string[]) => {
      const peers = new Map<ReturnType<typeof asPeerId>, PeerReply>(
        available.map((name) => [asPeerId(name), { status: status(name, joint) }]),
      );
      return statusText('main', { group: undefined, newest: newestConfiguration(peers), peers });
    };
    const without = textOf('n2', 'n3');
    expect(without).toMatch(
      /^quorum +0 of 3 are available, and 2 are needed: 2 more must come back; missing: n1, n4, n5$/m,
    );
    expect(without).toMatch(/^quorum of the old set +2 of 3 are available, and 2 are needed; missing: n1$/m);
    const complete = textOf('n2', 'n3', 'n4', 'n5');
    expect(complete.match(/are needed: one of them should be elected soon; missing: n1$/gm)).toHaveLength(2);
  });

  it('without a reply of the leader: the leader that followers report, and no election is expected', () => {
    const answers = new Map<ReturnType<typeof asPeerId>, PeerReply>([
      [asPeerId('n1'), silent],
      [asPeerId('n2'), { status: status('n2', { role: 'pre_candidate', leader_id: '' }) }],
      [asPeerId('n3'), { status: status('n3', { leader_id: asPeerId('n1') }) }],
    ]);
    const newest = newestConfiguration(answers);
    expect(newest?.reported_leaders).toEqual([{ peer_id: 'n1', reported_by: ['n3'] }]);
    const text = statusText('main', { group: undefined, newest, peers: answers });
    expect(text).toMatch(/^group main: n3 follows n1, which does not answer here$/m);
    expect(text).toMatch(/^quorum +2 of 3 are available, and 2 are needed; missing: n1$/m);
    answers.set(asPeerId('n1'), { status: status('n1', { leader_id: '' }) });
    expect(newestConfiguration(answers)?.reported_leaders, 'it replies, and does not lead').toEqual([]);
  });

  it('without a leader, a member with another history is not available', () => {
    const reset = { configuration: { ...configuration(['n1', 'n2']), epoch: 1 }, group_uid: 'reset-1', leader_id: '' };
    const answers = new Map<ReturnType<typeof asPeerId>, PeerReply>([
      [asPeerId('n1'), { status: status('n1', reset as never) }],
      [asPeerId('n2'), { status: status('n2', { leader_id: '' }) }],
    ]);
    const newest = newestConfiguration(answers);
    expect(newest).toMatchObject({
      other_history: ['n2'],
      quorum: [{ available: 1, needed: 2, missing: ['n2'] }],
    });
    expect(statusText('main', { group: undefined, newest, peers: answers })).toMatch(
      /^configuration +\{n1,n2\}, epoch 1 .*\nquorum +1 of 2 .*: 1 more must come back; missing: n2\nanother history +n2: not available for this one; see .*The quorum is gone/m,
    );
  });

  it('shows why a peer is silent, if its health reports it', () => {
    const error = { code: 'ETIMEDOUT', message: 'no answer', outcome: 'unknown' } as const;
    const peers = new Map<ReturnType<typeof asPeerId>, PeerReply>([
      [asPeerId('n1'), { error, reason: 'fenced: another node has opened its log-store' }],
      [asPeerId('n2'), { error }],
    ]);
    const text = statusText('main', { group: undefined, peers });
    expect(text).toMatch(/^n1 .* fenced: another node has opened its log-store$/m);
    expect(text).toMatch(/^n2 .* no reply in time$/m);
  });

  it('sends a request to members, targets and other known peers, each once', () => {
    const group = status('n1', { progress: [progress('n2'), progress('n4')] });
    expect(peersOf(group, [asPeerId('n5'), asPeerId('n1')])).toEqual(['n1', 'n2', 'n3', 'n4', 'n5']);
    expect(peersOf(undefined, [asPeerId('n5')])).toEqual(['n5']);
    expect(peersOf(status('n1', { configuration: null }), [])).toEqual([]);
  });

  it('promise 23: reports which peers must not be restarted now, and why; and which ones store no entries', () => {
    const restart = [
      {
        peer_id: asPeerId('n1'),
        may: false,
        reason: 'without it 1 of 3 would continue, and 2 are needed: n3 is read-only',
      },
      {
        peer_id: asPeerId('n2'),
        may: false,
        reason: 'without it 1 of 3 would continue, and 2 are needed: n3 is read-only',
      },
      { peer_id: asPeerId('n3'), may: true, reason: '' },
    ];
    const group = status('n1', {
      role: 'leader',
      restart,
      progress: [progress('n2'), progress('n3', { read_only: true })],
    });
    const full = status('n3', { read_only: 'disk', disk_free_bytes: 5_000_000 });
    const peers = new Map([
      [asPeerId('n1'), { status: group }],
      [asPeerId('n2'), { status: status('n2') }],
      [asPeerId('n3'), { status: full }],
    ]);
    const text = statusText('main', { group, peers });
    expect(text).toMatch(/^n1 .* must not {2}healthy$/m);
    expect(text).toMatch(/^n3 .* read-only: disk full, 4.8 MiB free .* may {7}healthy$/m);
    expect(text).toContain(
      'n2 must not be restarted now: without it 1 of 3 would continue, and 2 are needed: n3 is read-only',
    );
    expect(peerText(full, restart[2])).toMatch(/read-only +yes: its disk has less room than the reserve \(.* free\)/);
    expect(peerText(full, restart[2])).toMatch(/may be restarted +yes/);
    expect(peerText(full, restart[0])).toMatch(/may be restarted +no: without it/);
  });

  it('of one peer that does not lead shows the joint stage, and no other, which it does not know', () => {
    const joint = { configuration: configuration(['n1', 'n4'], ['n1', 'n2']), leader_id: '' } as const;
    expect(peerText(status('n2', joint))).toMatch(/^stage +joint$/m);
    expect(peerText(status('n2'))).toMatch(/^stage +known to the leader only$/m);
    expect(peerText(status('n1', { role: 'leader' }))).toMatch(/^stage +none$/m);
  });

  it('of one peer shows what it dropped', () => {
    const text = peerText(status('n2', { dropped: { stale_term: 1200, other_group: 0 } }));
    expect(`\n${text}\n`).toMatchInlineSnapshot(`
      "
      peer              n2 (store store-n2, session 2)
      role              follower
      health            healthy
      read-only         no
      may be restarted  not known
      group             main (uid)
      leader            n1
      term              3
      feature level     0 (this peer: the first version, supports 0)
      configuration     {n1,n2,n3} at index 2
      stage             known to the leader only
      log               1 to 5,000, the last of term 3
      commit            5,000, applied 4,990
      dropped           stale_term 1,200
      "
    `);
  });
});
