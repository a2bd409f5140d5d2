import { asLogIndex, asPeerId, type EventDetail } from '@conclave/protocol';
import { describe, expect, it } from 'vitest';
import { ChangeView } from '../src/views/change-view.js';
import { observed } from './status-samples.js';

const oldPeers = ['n1', 'n2', 'n3'].map(asPeerId);
const newPeers = ['n1', 'n4', 'n5'].map(asPeerId);

function stage(name: EventDetail<'stage_changed'>['stage']) {
  return observed('stage_changed', 'n1', { kind: 'change', stage: name, old_peers: oldPeers, new_peers: newPeers });
}

function catchup(
  peer: string,
  match: number,
  last: number,
  state: EventDetail<'catchup_progress'>['state'] = 'lagging',
  percent = 0,
) {
  return observed('catchup_progress', 'n1', {
    new_peer: asPeerId(peer),
    state,
    match_index: asLogIndex(match),
    last_index: asLogIndex(last),
    lag: last - match,
    percent,
  });
}

describe('a change in progress', () => {
  it('a change is shown with its stages, its progress, the missing votes, and how long each stage took', () => {
    const view = new ChangeView(1000);
    expect(view.headline(1005)).toBe('asked, 5.0 ms');
    expect(view.onEvent(stage('catching_up'), 1010)).toEqual(['stage catching up: {n1,n2,n3} to {n1,n4,n5}']);
    expect(view.onEvent(catchup('n4', 0, 2000, 'never_heard_of'), 1020)).toEqual(['n4: never answered (0 %)']);
    expect(view.onEvent(catchup('n4', 0, 2000, 'installing', 37), 1025)).toEqual([
      'n4: installing a snapshot at 37 % (37 %)',
    ]);
    expect(view.bars).toEqual([{ peerId: 'n4', percent: 37, text: 'installing a snapshot at 37 %' }]);
    expect(view.onEvent(catchup('n4', 1200, 2000), 1030)).toEqual(['n4: lagging by 800 entries (60 %)']);
    expect(view.onEvent(catchup('n4', 2000, 2000, 'caught_up'), 1040)).toEqual(['n4: caught up (100 %)']);
    expect(view.onEvent(stage('joint'), 1110)).toEqual(['stage joint: {n1,n2,n3} to {n1,n4,n5}']);
    expect(view.onStatus({ stage: 'joint', lacking: { peers: newPeers.slice(1), old_peers: [] } })).toEqual([
      'missing votes: n4, n5 of the new set',
    ]);
    expect(view.headline(1120)).toBe('stage joint, 120 ms; missing votes: n4, n5 of the new set');
    expect(view.onEvent(stage('stable'), 1160)).toEqual(['stage stable: {n1,n2,n3} to {n1,n4,n5}']);
    view.end(1170);
    expect(view.stageTimes).toEqual([
      { stage: 'catching_up', ms: 100 },
      { stage: 'joint', ms: 50 },
      { stage: 'stable', ms: 10 },
    ]);
    expect(view.missingVotes).toBe('');
    expect(view.headline(1170)).toBe('over, 170 ms');
  });

  it('reports a stage once', () => {
    const view = new ChangeView(0);
    view.onEvent(stage('joint'), 1);
    expect(view.onEvent(stage('joint'), 2)).toEqual([]);
  });

  it('does not report each step, and no bar shrinks when the log grows', () => {
    const view = new ChangeView(0);
    expect(view.onEvent(catchup('n4', 500, 1000), 1)).toEqual(['n4: lagging by 500 entries (50 %)']);
    expect(view.onEvent(catchup('n4', 590, 1000), 2)).toEqual([]);
    expect(view.onEvent(catchup('n4', 600, 4000), 3)).toEqual([]);
    expect(view.bars).toEqual([{ peerId: 'n4', percent: 59, text: 'lagging by 3,400 entries' }]);
  });

  it('never shows a bar as full before the peer has caught up, and as full in the stages after', () => {
    const view = new ChangeView(0);
    view.onEvent(catchup('n4', 1000, 1000), 1);
    expect(view.bars[0]?.percent).toBe(99);
    view.onEvent(stage('joint'), 2);
    expect(view.bars).toEqual([{ peerId: 'n4', percent: 100, text: 'caught up' }]);
  });

  it('reports a refusal and a failure at once', () => {
    const view = new ChangeView(0);
    view.onEvent(catchup('n4', 500, 1000), 1);
    expect(view.onEvent(catchup('n4', 500, 1000, 'refused'), 2)).toEqual(['n4: refused (50 %)']);
    const failed = observed('change_failed', 'n1', {
      kind: 'change',
      old_peers: oldPeers,
      new_peers: newPeers,
      error: { code: 'ENOTEMPTY', message: 'n4 holds another history', outcome: 'not_done' },
    });
    expect(view.onEvent(failed, 3)).toEqual(['n1 {n1,n2,n3} stays; ENOTEMPTY: n4 holds another history']);
  });

  it('omits what each peer reports of its own configuration, and shows when the new one is committed', () => {
    const view = new ChangeView(0);
    view.onEvent(stage('joint'), 1);
    const joint = { peers: newPeers, old_peers: oldPeers, index: asLogIndex(7) };
    expect(view.onEvent(observed('configuration_appended', 'n2', joint), 1)).toEqual([]);
    expect(view.onEvent(observed('configuration_committed', 'n1', joint), 2)).toEqual([]);
    const past = { peers: oldPeers, old_peers: [], index: asLogIndex(4) };
    expect(view.onEvent(observed('configuration_committed', 'n4', past), 2)).toEqual([]);
    const stable = { peers: newPeers, old_peers: [], index: asLogIndex(8) };
    expect(view.onEvent(observed('configuration_committed', 'n1', stable), 3)).toEqual([
      'n1: {n1,n4,n5} is committed, at index 8',
    ]);
    expect(view.onEvent(observed('configuration_committed', 'n4', stable), 4)).toEqual([]);
  });

  it('asks for no votes in stages that need none of them', () => {
    const view = new ChangeView(0);
    expect(view.onStatus({ stage: 'catching_up', lacking: { peers: newPeers, old_peers: [] } })).toEqual([]);
  });
});
