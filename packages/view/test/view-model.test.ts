import { viewLimits } from '@conclave/protocol';
import { describe, expect, it } from 'vitest';
import { type ChangeState, ViewModel, type ViewRecord } from '../src/index.js';
import { after, before, changeRecords, event, message, progress, status } from './samples.js';

const info = { group: 'main', time: 'wall' } as const;

function modelOf(records: readonly ViewRecord[]): ViewModel {
  const model = new ViewModel(info);
  model.fold(records);
  return model;
}

/** The state after the records up to a time. */
function at(time: number, records: readonly ViewRecord[] = changeRecords()) {
  return modelOf(records.filter((record) => record.at <= time)).state;
}

function changeAt(time: number): ChangeState {
  const { change } = at(time);
  if (change === null) throw new Error('there is no change');
  return change;
}

describe('the model of the page', () => {
  it('shows the leader, its term, its commit index and what each follower lacks', () => {
    const { leader, term, commit, peers } = at(1100);
    expect({ leader, term, commit }).toEqual({ leader: 'n1', term: 3, commit: 100 });
    expect(Object.keys(peers)).toEqual(before);
    expect(peers.n3).toMatchObject({ lag: 10, match: 90, membership: 'member' });
    expect(peers.n1).toMatchObject({ role: 'leader', lag: 0, healthy: true });
  });

  it('shows the peers of both configurations while a change is in progress', () => {
    const { peers } = at(2600);
    const memberships = Object.fromEntries(Object.values(peers).map(({ name, membership }) => [name, membership]));
    expect(memberships).toEqual({ n1: 'member', n2: 'leaving', n3: 'leaving', n4: 'joining', n5: 'joining' });
    expect(at(4300).peers.n2?.membership).toBe('outside');
    expect(at(4300).peers.n4?.membership).toBe('member');
  });

  it('shows the progress of a new peer with its rate and its remaining time', () => {
    expect(changeAt(2100).catchUp.n4).toMatchObject({ percent: 10, rate: null, remainingMs: null });
    // 40 entries in half a second, and 50 are missing.
    expect(changeAt(2600).catchUp.n4).toMatchObject({ percent: 50, rate: 80, remainingMs: 625 });
    expect(changeAt(2900).catchUp.n4).toMatchObject({ percent: 100, remainingMs: 0 });
  });

  it('shows the stages in their order, each with its times', () => {
    expect(changeAt(4300)).toMatchObject({
      oldPeers: before,
      newPeers: after,
      adding: ['n4', 'n5'],
      removing: ['n2', 'n3'],
      stages: [
        { stage: 'catching_up', from: 2000, to: 3000 },
        { stage: 'joint', from: 3000, to: 4000 },
        { stage: 'stable', from: 4000, to: 4300 },
      ],
      outcome: 'done',
      endedAt: 4300,
    });
  });

  it('fills both majorities vote by vote', () => {
    const votes = (time: number) =>
      changeAt(time).ballots[0]?.majorities.map(({ set, stored, needed }) => [set, stored, needed]);
    expect(votes(3001)).toEqual([
      ['old', [], 2],
      ['new', [], 2],
    ]);
    expect(votes(3100)).toEqual([
      ['old', ['n1'], 2],
      ['new', ['n1'], 2],
    ]);
    expect(votes(3200)).toEqual([
      ['old', ['n1'], 2],
      ['new', ['n1', 'n4'], 2],
    ]);
    expect(votes(3300)).toEqual([
      ['old', ['n1', 'n2'], 2],
      ['new', ['n1', 'n4'], 2],
    ]);
    expect(changeAt(3300).ballots[0]?.committedAt).toBeNull();
    expect(changeAt(3350).ballots[0]?.committedAt).toBe(3350);
    expect(changeAt(4300).ballots[1]?.majorities).toMatchObject([{ set: 'all', stored: ['n1', 'n5'] }]);
  });

  it('counts votes that arrive after the end of the change', () => {
    const model = modelOf(changeRecords());
    const stored = { match_index: 9999, leader_term: model.state.change?.term ?? 0 };
    model.fold([message(9000, 'feed.stored', 'n4.log-store', 'n1.feed', stored)]);
    expect(model.state.change).toMatchObject({ outcome: 'done' });
    expect(model.state.change?.ballots[1]?.majorities).toMatchObject([{ stored: ['n1', 'n5', 'n4'] }]);
  });

  it('knows the votes from the leader’s status where it sees no messages', () => {
    const model = modelOf(changeRecords().filter((record) => record.at <= 3001));
    const lacking = { peers: ['n5'], old_peers: ['n2', 'n3'] };
    model.fold([status(3050, 'n1', { role: 'leader', stage: 'joint', lacking, progress: [progress('n2', 100)] })]);
    expect(model.state.change?.ballots[0]?.majorities).toMatchObject([{ stored: ['n1'] }, { stored: ['n1', 'n4'] }]);
  });

  it('takes no vote from a status that does not know the ballot yet, and none that the next status lacks', () => {
    const model = modelOf(changeRecords().filter((record) => record.at <= 3001));
    const stored = () => model.state.change?.ballots[0]?.majorities.map((majority) => majority.stored);
    model.fold([status(3050, 'n1', { role: 'leader', stage: 'joint' })]);
    expect(stored()).toEqual([[], []]);
    const later = { role: 'leader', stage: 'joint', lacking: { peers: ['n4', 'n5'], old_peers: [] } };
    model.fold([
      message(3060, 'feed.stored', 'n4.log-store', 'n1.feed', { match_index: 200 }),
      status(3070, 'n1', later),
    ]);
    expect(stored()).toEqual([['n1', 'n2', 'n3'], ['n1']]);
  });

  it('says why a change has failed, and keeps earlier changes', () => {
    const failed = changeRecords().filter((record) => record.at < 3000);
    const error = { code: 'ECATCHUP', message: 'n5 did not catch up', outcome: 'not_done' };
    failed.push(event(3500, 'change_failed', 'n1', { kind: 'change', old_peers: before, new_peers: after, error }));
    const again = changeRecords().map((record) => ({ ...record, at: record.at + 10_000 }));
    const { change, pastChanges, peers } = modelOf([...failed, ...again]).state;
    expect(pastChanges).toMatchObject([{ outcome: 'failed', error: 'ECATCHUP: n5 did not catch up' }]);
    expect(change?.outcome).toBe('done');
    expect(peers.n4?.membership).toBe('member');
  });

  it('ends a change whose leader was lost when the next leader has none in progress', () => {
    const records = changeRecords().filter((record) => record.at <= 3100);
    records.push(event(5000, 'leader_elected', 'n2', { peers: before, old_peers: [] }));
    const leads = { role: 'leader', term: 4 };
    const undone = modelOf([...records, status(5100, 'n2', { ...leads, configuration_index: 101 })]);
    expect(undone.state.change).toMatchObject({ outcome: 'failed', error: 'its leader was lost', endedAt: 5100 });
    const configuration = { peers: after.map((name) => ({ peer_id: name, store_id: `s-${name}` })), old_peers: [] };
    const done = modelOf([...records, status(5100, 'n4', { ...leads, configuration, configuration_index: 103 })]);
    expect(done.state.change).toMatchObject({ outcome: 'done', endedAt: 5100 });
  });

  it('does not end a change by a status of its own leader from before it began', () => {
    const records = changeRecords().filter((record) => record.at <= 2100);
    const model = modelOf([...records, status(2200, 'n1', { role: 'leader', term: 3 })]);
    expect(model.state.change?.outcome).toBe('going_on');
  });

  it('counts no votes for the entries of another leader', () => {
    const model = modelOf(changeRecords().filter((record) => record.at <= 3001));
    const stored = { match_index: 200, leader_term: 4 };
    model.fold([
      message(5000, 'feed.stored', 'n4.log-store', 'n2.feed', stored),
      message(5001, 'feed.committed', 'n2.ballot-box', 'n2.feed', { index: 200, term: 4 }),
    ]);
    expect(model.state.change?.ballots[0]).toMatchObject({
      committedAt: null,
      majorities: [{ stored: [] }, { stored: [] }],
    });
  });

  it('counts the votes that the ballot-box receives, where the receivers of a feed are known', () => {
    const model = modelOf(changeRecords().filter((record) => record.at <= 3001));
    const stored = { match_index: 200, leader_term: 3 };
    model.fold([message(3010, 'feed.stored', 'n4.log-store', 'n1.replicator', stored)]);
    expect(model.state.change?.ballots[0]?.majorities[1]?.stored).toEqual([]);
    model.fold([message(3011, 'feed.stored', 'n4.log-store', 'n1.ballot-box', stored)]);
    expect(model.state.change?.ballots[0]?.majorities[1]?.stored).toEqual(['n4']);
  });

  it('keeps the condition of a peer that is cut off although its status is known', () => {
    const model = modelOf([
      { at: 1000, kind: 'fault', fault: 'partition', peer: 'n2', condition: 'cut_off', text: 'n2 is cut off' },
      status(1100, 'n2'),
    ]);
    expect(model.state.peers.n2?.condition).toBe('cut_off');
  });

  it('knows the changes that began before it from the leader’s status', () => {
    const known = { kind: 'change', old_peers: before, new_peers: after, term: 3, index: 0 };
    const done = { ...known, old_peers: ['n1'], new_peers: before, state: 'done', stage: 'none' };
    const changes = [done, { ...known, state: 'going_on', stage: 'catching_up' }];
    const { change, pastChanges, peers } = modelOf([status(1, 'n1', { role: 'leader', changes })]).state;
    expect(change).toMatchObject({ stage: 'catching_up', outcome: 'going_on', adding: ['n4', 'n5'] });
    expect(pastChanges).toMatchObject([{ outcome: 'done', newPeers: before }]);
    expect(peers.n4?.membership).toBe('joining');
  });

  it('forgets a peer that is no member and does not run', () => {
    const gone = (at: number, peer: string): ViewRecord => ({
      at,
      kind: 'status',
      peer,
      status: null,
      error: { code: 'EUNREACHABLE', message: 'nobody listens' },
    });
    const records = [...changeRecords(), gone(5000, 'n2'), gone(5000, 'n4')];
    const { peers } = modelOf(records).state;
    expect(Object.keys(peers)).toEqual(['n1', 'n3', 'n4', 'n5']);
    expect(peers.n4).toMatchObject({ condition: 'down', membership: 'member' });
  });

  it('says nothing of the log of a follower that has not replied to the leader', () => {
    const silent = progress('n2', 0, { silent_ms: -1 });
    expect(modelOf([status(1, 'n1', { role: 'leader', progress: [silent] })]).state.peers.n2).toMatchObject({
      match: -1,
      lag: -1,
    });
  });

  it('shows an election vote by vote, and that its leader is gone', () => {
    const vote = (peer: string, granted: boolean) =>
      message(6000, 'ballot-box.vote_response', `${peer}.node`, 'n2.ballot-box', { term: 4, kind: 'vote', granted });
    const records = [
      ...changeRecords().filter((record) => record.at <= 1100),
      { at: 5000, kind: 'fault', fault: 'kill', peer: 'n1', condition: 'down', text: 'n1 is killed' } as const,
      message(5900, 'node.request_vote', 'n2.node', 'n3.node', { term: 4, kind: 'vote' }),
      vote('n3', true),
      vote('n1', false),
    ];
    expect(modelOf(records).state.leader).toBe('');
    expect(modelOf(records).state.election).toMatchObject({
      candidate: 'n2',
      term: 4,
      granted: ['n2', 'n3'],
      rejected: ['n1'],
      won: false,
    });
  });

  it('draws writes, latency, lag and terms over time', () => {
    const records: ViewRecord[] = [
      status(10_000, 'n1', { role: 'leader', commit_index: 100, progress: [progress('n2', 95)] }),
    ];
    for (let index = 101; index <= 110; index++) {
      records.push(message(11_000 + index, 'feed.append', 'n1.node', 'n1.feed', { verified_index: index }));
      records.push(message(11_004 + index, 'feed.committed', 'n1.ballot-box', 'n1.feed', { index }));
    }
    records.push(status(13_000, 'n1', { role: 'leader', commit_index: 110, progress: [progress('n2', 110)] }));
    const sorted = records.toSorted((one, other) => one.at - other.at);
    const { series } = modelOf(sorted).state;
    expect(series.at).toEqual([10_000, 11_000, 12_000, 13_000]);
    expect(series.writes).toEqual([0, 10, null, null]);
    expect(series.latency).toEqual([null, 4, null, null]);
    expect(series.lag.n2).toEqual([5, null, null, 0]);
    expect(series.term).toEqual([3, 3, 3, 3]);
  });

  it('continues from a copy of its state as if it were the first', () => {
    const records = changeRecords();
    const whole = modelOf(records);
    for (const cut of [3, 9, 14]) {
      const copy = JSON.parse(JSON.stringify(modelOf(records.slice(0, cut)).state));
      const second = new ViewModel(info, copy);
      second.fold(records.slice(cut));
      expect(second.state).toEqual(whole.state);
    }
  });

  it('keeps a bounded number of everything, and one hour', () => {
    const model = new ViewModel(info);
    const hours = 3;
    for (let second = 0; second < hours * 3600; second++) {
      const time = second * 1000;
      model.fold([
        { at: time, kind: 'note', level: 'info', text: 'a note', topic: `topic:${second}` },
        message(time, 'node.ack', `p${second}.log-store`, `p${second}.node`, { seq: second }),
        message(time, 'node.ack', 'n1.log-store', 'n1.node', { seq: second }),
      ]);
    }
    const { arrows, timeline, series, peers, notes } = model.state;
    expect(arrows.length).toBeLessThanOrEqual(viewLimits.messages * 1.25);
    expect(timeline.length).toBeLessThanOrEqual(viewLimits.timeline * 1.25);
    expect(series.at.length).toBeLessThanOrEqual(viewLimits.points * 1.1);
    expect(series.writes.length).toBe(series.at.length);
    expect(Object.keys(peers).length).toBe(viewLimits.peers);
    expect(Object.keys(notes).length).toBe(viewLimits.notes);
    expect(timeline[0]?.at).toBeGreaterThanOrEqual(model.state.now - viewLimits.ageMs);
  });

  it('ignores what refers to nothing it knows', () => {
    const unknown: ViewRecord[] = [
      { at: 1, kind: 'event', name: 'from_the_future', body: { peer_id: 'n9', term: 1, time: 'now' } },
      event(2, 'catchup_progress', 'n1', {
        new_peer: 'n4',
        state: 'lagging',
        match_index: 1,
        last_index: 2,
        lag: 1,
        percent: 1,
      }),
      message(3, 'feed.stored', 'n4.log-store', 'n1.feed', { match_index: 'many' }),
      message(4, 'node.x', '__proto__.node', '.client', {}),
    ];
    const { state } = modelOf(unknown);
    expect(state.timeline).toMatchObject([{ name: 'from_the_future', text: 'an event of a newer version' }]);
    expect(state.change).toBeNull();
    expect(Object.keys(state.peers)).toEqual(['n9', 'n1', 'n4']);
  });
});
