/** The playground: time that passes as its user wants, faults, requests, and the same run each time. */
import { ViewModel, ViewRecord } from '@conclave/view';
import { describe, expect, test } from 'vitest';
import { withElectionsForFree } from '../support/broken-core.js';
import { PlayedPlayground } from './played-playground.js';

/** Plays for so many virtual milliseconds. */
function play(played: PlayedPlayground, virtualMs: number): void {
  played.command('speed', { speed: '1' });
  played.command('play');
  for (let ms = 0; ms < virtualMs; ms += 100) played.pass(100);
  played.command('pause');
}

function faultsOf({ records }: PlayedPlayground): string[] {
  return records.flatMap((record) => (record.kind === 'fault' ? [record.text] : []));
}

function notesOf({ records }: PlayedPlayground): string[] {
  return records.flatMap((record) => (record.kind === 'note' ? [record.text] : []));
}

function messagesOf({ records }: PlayedPlayground) {
  return records.filter((record) => record.kind === 'message');
}

test('a group of one’s own begins with the status of each peer, at time 0', () => {
  const played = new PlayedPlayground();
  expect(played.restarts).toEqual([{ title: 'Playground', group: 'main', mode: 'simulate', time: 'virtual' }]);
  expect(played.records.map((record) => record.kind === 'status' && record.peer)).toEqual([
    'n1',
    'n2',
    'n3',
    'n4',
    'n5',
  ]);
  expect(played.records.every(({ at }) => at === 0)).toBe(true);
  expect(played.leader).toBe('n1');
});

describe('time', () => {
  test('passes only while it is played, at the chosen speed', () => {
    const played = new PlayedPlayground();
    played.pass(1000);
    expect(played.state.position.at).toBe(0);
    played.command('speed', { speed: '0.01' });
    played.command('play');
    played.pass(1000);
    expect(played.state.position.at).toBeCloseTo(10);
    played.command('pause');
    played.pass(1000);
    expect(played.state.position.at).toBeCloseTo(10);
  });

  test('stops if it is paused twice, and passes if it is played twice', () => {
    const played = new PlayedPlayground();
    played.command('pause');
    played.pass(100);
    expect(played.state.position.at).toBe(0);
    played.command('play');
    played.command('play');
    played.pass(100);
    expect(played.state.position.at).toBeGreaterThan(0);
  });

  test('passes up to the next message, which is named', () => {
    const played = new PlayedPlayground();
    played.command('put', { key: 'a', value: '1' });
    const texts: string[] = [];
    for (let messages = 0; messages < 20; messages++) {
      played.command('next-message');
      texts.push(played.state.outcome?.text ?? '');
    }
    expect(texts).toContainEqual(expect.stringContaining('n1.node -> n1.log-store append'));
    expect(texts).toContainEqual(expect.stringContaining('n1.node -> n2.node append_entries'));
    expect(played.state.running).toBe(false);
  });

  test('passes up to the next event', () => {
    const played = new PlayedPlayground();
    const before = played.state.position.at;
    for (let events = 0; events < 50; events++) played.command('next-event');
    expect(played.state.position.at).toBeGreaterThan(before);
  });

  test('has the same records in whatever pieces it passes', () => {
    const [whole, pieces] = [{ seed: 3 }, { seed: 3 }].map((options) => new PlayedPlayground(options));
    if (whole === undefined || pieces === undefined) throw new Error('there are two');
    for (const played of [whole, pieces]) played.command('put', { key: 'a', value: '1' });
    play(whole, 500);
    const endMs = whole.state.position.at;
    while (pieces.state.position.at < endMs) pieces.command('next-event');
    const upTo = (records: readonly ViewRecord[]) => records.filter(({ at }) => at < endMs - 1);
    expect(upTo(pieces.records)).toEqual(upTo(whole.records));
    expect(messagesOf(whole).length).toBeGreaterThan(100);
  });

  test('begins again with the same run, and with another one for another seed', () => {
    const played = new PlayedPlayground({ seed: 3 });
    const run = () => {
      play(played, 300);
      return JSON.stringify(played.records);
    };
    const first = run();
    played.command('reset');
    expect(run()).toBe(first);
    played.command('reset', { seed: 4 });
    expect(run()).not.toBe(first);
  });
});

describe('faults', () => {
  test('kill, start, pause and continue peers and their actors', () => {
    const played = new PlayedPlayground();
    for (const [command, peer, actor] of [
      ['kill', 'n2', 'all'],
      ['start', 'n2', 'all'],
      ['kill', 'n3', 'ballot-box'],
      ['pause-processes', 'n1', 'node'],
      ['resume', 'n1', 'node'],
    ] as const) {
      played.command(command, { peer, actor });
      play(played, 100);
    }
    expect(faultsOf(played)).toEqual([
      'n2 is killed',
      'n2 runs again',
      'n3.ballot-box is killed',
      'n1.node is paused',
      'n1.node continues',
    ]);
  });

  test('are offered for the peers for which they make sense', () => {
    const played = new PlayedPlayground();
    const offered = (name: string) => played.state.commands.find((command) => command.name === name)?.peers;
    played.command('kill', { peer: 'n2' });
    played.command('pause-processes', { peer: 'n3', actor: 'node' });
    expect(offered('kill')).toEqual(['n1', 'n3', 'n4', 'n5']);
    expect(offered('start')).toEqual(['n2']);
    expect(offered('pause-processes')).toEqual(['n1', 'n3', 'n4', 'n5']);
    expect(offered('resume')).toEqual(['n3']);
    expect(offered('transfer-leader')).toEqual(['n2', 'n3']);
  });

  test('cut a leader off: its messages are lost, and another peer leads', () => {
    const played = new PlayedPlayground();
    played.command('partition', { peers: ['n1'] });
    play(played, 4000);
    expect(played.leader).not.toBe('n1');
    expect(
      messagesOf(played).some(({ lost, from, to }) => lost === true && from.peer === 'n1' && to.peer === 'n2'),
    ).toBe(true);
    played.command('reconnect');
    play(played, 2000);
    expect(faultsOf(played)).toEqual(['n1 is cut off from others', 'n1 is connected again']);
  });

  test('slow a peer down: its messages arrive later', () => {
    const played = new PlayedPlayground();
    played.command('slow', { peer: 'n2', ms: 500 });
    play(played, 300);
    const between = messagesOf(played).filter(({ from, to, at }) => at > 10 && from.peer === 'n1' && to.peer === 'n2');
    expect(between.length).toBeGreaterThan(0);
    expect(between.every(({ at, arrives_at: arrival = 0 }) => arrival >= at + 500)).toBe(true);
  });

  test('wipe a disk, which the leader replaces by the new one', () => {
    const played = new PlayedPlayground();
    played.command('wipe', { peer: 'n3' });
    played.command('start', { peer: 'n3' });
    play(played, 5000);
    const stages = played.records.flatMap((record) =>
      record.kind === 'event' && record.name === 'stage_changed' ? [`${record.body.kind} ${record.body.stage}`] : [],
    );
    expect(stages).toContain('heal none');
  });

  test('do not wipe a disk whose entries would be lost for good', () => {
    const played = new PlayedPlayground();
    played.command('wipe', { peer: 'n3' });
    played.command('wipe', { peer: 'n2' });
    expect(played.state.outcome).toEqual({ text: expect.stringContaining('The disk of n2 is not wiped'), ok: false });
    play(played, 1000);
    expect(faultsOf(played)).toEqual(['n3 is killed']);
  });
});

describe('requests', () => {
  test('write, change members and transfer the leadership; their answers are notes', () => {
    const played = new PlayedPlayground();
    played.command('put', { key: 'a', value: '1' });
    play(played, 200);
    expect(played.state.outcome).toBeUndefined();
    played.command('change-members', { peers: ['n1', 'n4', 'n5'] });
    play(played, 2000);
    played.command('transfer-leader', { peer: 'n4' });
    play(played, 1000);
    played.command('get', { key: 'a' });
    play(played, 200);
    expect(notesOf(played)).toEqual([
      'put a 1: done, revision 1',
      'change n1 n4 n5: done, from {n1,n2,n3} to {n1,n4,n5}',
      'transfer n4: done',
      'get a: 1, revision 1',
    ]);
    expect(played.leader).toBe('n4');
  });

  test('get no reply while time is paused', () => {
    const played = new PlayedPlayground();
    played.command('put', { key: 'a', value: '1' });
    expect(played.state.outcome?.text).toBe('Done. Virtual time is stopped: play, or go to the next message.');
    expect(notesOf(played)).toEqual([]);
  });
});

describe('a question', () => {
  test('stops after each step, and continues with the next one', () => {
    const played = new PlayedPlayground({ question: 'leader-dies' });
    expect(played.steps.map(({ state }) => state)).toEqual(['current', 'next', 'next', 'next', 'next']);
    played.finishStep();
    expect(played.state.outcome).toEqual({ text: 'The step is done. Play continues with the next.', ok: true });
    expect(played.steps[0]?.outcomes.map(({ holds, seen }) => [holds, seen])).toEqual([
      [true, 'n2: leads term 3'],
      [true, 'n2 3:{n1,n2,n3}'],
    ]);
    played.command('next-message');
    expect(played.steps.map(({ state }) => state)).toEqual(['done', 'current', 'next', 'next', 'next']);
  });

  test('shows on the page that the change of a lost leader was undone', () => {
    const played = new PlayedPlayground({ question: 'leader-dies' });
    played.finishStep();
    const model = new ViewModel(played.playground.info);
    model.fold(played.records);
    expect(model.state.change).toMatchObject({ newPeers: ['n1', 'n4', 'n5'], outcome: 'failed' });
    expect(model.state.change?.ballots.map(({ committedAt }) => committedAt)).toEqual([null]);
    expect(model.state.rate.sent).toBeGreaterThan(0);
  });

  test('shows on the page which votes a joint entry lacks', () => {
    const played = new PlayedPlayground({ question: 'failing-new-peer' });
    for (let steps = 0; steps < 4; steps++) played.finishStep();
    const model = new ViewModel(played.playground.info);
    model.fold(played.records);
    expect(model.state.change?.ballots[0]?.majorities).toMatchObject([
      { stored: ['n1', 'n2', 'n3'] },
      { stored: ['n1'] },
    ]);
  });

  test('has outcomes that do not hold, if something else is done meanwhile', () => {
    const played = new PlayedPlayground({ question: 'leader-dies' });
    played.command('kill', { peer: 'n2' });
    played.command('kill', { peer: 'n3' });
    played.finishStep();
    expect(played.state.outcome?.ok).toBe(false);
    expect(played.steps[0]?.state).toBe('failed');
    expect(played.steps[0]?.error).toContain('not within 30000 ms');
    const next = played.state.commands.find(({ name }) => name === 'finish-step');
    expect(next?.disabled).toBe('no step is left');
    played.command('reset');
    played.finishStep();
    expect(played.steps[0]?.state).toBe('done');
  });

  test('can be replaced by another one, or by a group of one’s own', () => {
    const played = new PlayedPlayground();
    played.command('question', { question: 'ballots' });
    expect(played.restarts.at(-1)?.title).toBe('Does each log entry have a ballot?');
    expect(played.steps.length).toBeGreaterThan(0);
    played.command('question', { question: 'none' });
    expect(played.restarts.at(-1)?.title).toBe('Playground');
    expect(played.steps).toEqual([]);
  });

  test('that does not exist is refused with the names of those that do', () => {
    expect(() => new PlayedPlayground({ question: 'why' })).toThrow(
      /there is no question why: the questions are .*ballots/,
    );
  });
});

test.each([
  ['no-such-command', {}],
  ['kill', { peer: 'n9' }],
  ['kill', { peer: 'n1', actor: 'duplicate-node' }],
  ['kill', { peer: 'n1', more: 1 }],
  ['slow', { peer: 'n1', ms: -1 }],
  ['slow', { peer: 'n1', ms: 1.5 }],
  ['slow', { peer: 'n1', ms: '50' }],
  ['partition', {}],
  ['partition', { peers: [] }],
  ['partition', { peers: 'n1' }],
  ['partition', { peers: ['n1', 'n1'] }],
  ['partition', { peers: ['n1', 'n2', 'n3', 'n4', 'n5'] }],
  ['change-members', { peers: ['n1', '__proto__'] }],
  ['put', { key: '', value: '1' }],
  ['put', { key: 'x'.repeat(65), value: '1' }],
  ['speed', { speed: '1000' }],
  ['reset', { seed: -1 }],
  ['question', { question: 'why' }],
])('%s with %j is rejected, and changes nothing', (command, parameters) => {
  const played = new PlayedPlayground();
  expect(() => played.command(command, parameters)).toThrow(expect.objectContaining({ code: 'EINVAL' }));
  expect(played.records).toHaveLength(5);
});

test('a run in which an invariant is broken ends with it, until it begins again', () => {
  withElectionsForFree(() => {
    const played = new PlayedPlayground();
    played.command('partition', { peers: ['n2'] });
    played.command('speed', { speed: '1' });
    played.command('play');
    for (let turns = 0; played.state.running && turns < 1000; turns++) played.pass(40);
    expect(played.state.outcome).toMatchObject({ ok: false, text: expect.stringContaining('An invariant is broken') });
    expect(played.records.at(-1)).toMatchObject({ kind: 'note', topic: 'violation', level: 'error' });
    const play1 = played.state.commands.find(({ name }) => name === 'play');
    expect(play1?.disabled).toContain('Start again.');
    expect(() => played.command('kill', { peer: 'n2' })).toThrow(/An invariant is broken/);
    played.command('reset');
    expect(played.state.commands.find(({ name }) => name === 'play')?.disabled).toBeUndefined();
  });
});

test('the records of the playground are of the format of recordings', () => {
  const played = new PlayedPlayground({ question: 'who-may-lead' });
  played.finishStep();
  for (const record of played.records) expect(ViewRecord.parse(record)).toEqual(record);
});
