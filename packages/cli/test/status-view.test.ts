import { asLogIndex, asPeerId, asTerm } from '@conclave/protocol';
import { describe, expect, it } from 'vitest';
import { type PeerAnswer, peersOf, peerText, statusText } from '../src/views/status-view.js';
import { configuration, progress, status } from './samples.js';

const silent: PeerAnswer = { error: { code: 'EUNREACHABLE', message: 'nobody listens', outcome: 'not_done' } };

describe('the status of a group', () => {
  it('has a row for each peer, and tells apart: leader, caught up, lagging, never heard of, refused, spare', () => {
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
          term: asTerm(2),
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
    const peers = new Map<ReturnType<typeof asPeerId>, PeerAnswer>([
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
      feature level  0 (this peer: a first version, speaks 0)
      configuration  {n1,n4,n5,n8} and {n1,n2,n3} (joint) at index 2
      stage          joint; votes lacking: n4, n5 of the new set
      log            1 to 5,000
      commit         5,000, applied 4,990

      peer  role      term  match    lag  state                               silent  build    restart  health
      n1    leader       3  5,000      0  leader                                   -  level 0  -        healthy
      n2    follower     3  5,000      0  caught up                            12 ms  level 0  -        healthy
      n3    follower     3  1,000  4,000  lagging by 4,000                    2.50 s  level 0  -        fenced
      n4    -            -      0  5,000  never heard of                 never heard  -        -        does not answer
      n5    follower     1      0  5,000  refused: ENOTEMPTY                   12 ms  level 0  -        healthy
      n8    follower     3      0  5,000  installing a snapshot at 37 %        12 ms  level 0  -        healthy
      n7    follower     3  5,000      0  not in the group                     12 ms  level 0  -        removed
      n6    follower     0      -      -  not in the group                         -  level 0  -        healthy

      last changes           state   term  index  why
      {n1,n2} to {n1,n2,n3}  done       2      2
      {n1,n2,n3} to {n9}     undone     3      -  ECATCHUP: n9 did not catch up
      "
    `);
  });

  it('shows what the peers say when nobody leads', () => {
    const peers = new Map([[asPeerId('n2'), { status: status('n2', { leader_id: '' }) }]]);
    expect(`\n${statusText('main', { group: undefined, peers })}\n`).toMatchInlineSnapshot(`
      "
      group main: nobody leads

      peer  role      term  match  lag  state  silent  build    restart  health
      n2    follower     3      -    -  -           -  level 0  -        healthy
      "
    `);
  });

  it('says why a peer is silent, where its health tells', () => {
    const error = { code: 'ETIMEDOUT', message: 'no answer', outcome: 'unknown' } as const;
    const peers = new Map<ReturnType<typeof asPeerId>, PeerAnswer>([
      [asPeerId('n1'), { error, reason: 'fenced: another node has opened its log-store' }],
      [asPeerId('n2'), { error }],
    ]);
    const text = statusText('main', { group: undefined, peers });
    expect(text).toMatch(/^n1 .* fenced: another node has opened its log-store$/m);
    expect(text).toMatch(/^n2 .* ETIMEDOUT$/m);
  });

  it('asks members, targets and who else is there, each once', () => {
    const group = status('n1', { progress: [progress('n2'), progress('n4')] });
    expect(peersOf(group, [asPeerId('n5'), asPeerId('n1')])).toEqual(['n1', 'n2', 'n3', 'n4', 'n5']);
    expect(peersOf(undefined, [asPeerId('n5')])).toEqual(['n5']);
    expect(peersOf(status('n1', { configuration: null }), [])).toEqual([]);
  });

  it('promise 23: says who must not be restarted now, and why; and who takes no entries', () => {
    const restart = [
      {
        peer_id: asPeerId('n1'),
        may: false,
        reason: 'without it 1 of 3 would go on, and 2 are needed: n3 is read-only',
      },
      {
        peer_id: asPeerId('n2'),
        may: false,
        reason: 'without it 1 of 3 would go on, and 2 are needed: n3 is read-only',
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
    expect(text).toMatch(/^n3 .* read-only .* may {7}healthy$/m);
    expect(text).toContain(
      'n2 must not be restarted now: without it 1 of 3 would go on, and 2 are needed: n3 is read-only',
    );
    expect(peerText(full, restart[2])).toMatch(
      /takes entries +no: its disk has less room than the reserve \(.* free\)/,
    );
    expect(peerText(full, restart[2])).toMatch(/may be restarted +yes/);
    expect(peerText(full, restart[0])).toMatch(/may be restarted +no: without it/);
  });

  it('of one peer tells what it dropped', () => {
    const text = peerText(status('n2', { dropped: { stale_term: 1200, other_group: 0 } }));
    expect(`\n${text}\n`).toMatchInlineSnapshot(`
      "
      peer              n2 (store store-n2, session 2)
      role              follower
      health            healthy
      takes entries     yes
      may be restarted  not known
      group             main (uid)
      leader            n1
      term              3
      feature level     0 (this peer: a first version, speaks 0)
      configuration     {n1,n2,n3} at index 2
      stage             none
      log               1 to 5,000
      commit            5,000, applied 4,990
      dropped           stale_term 1,200
      "
    `);
  });
});
