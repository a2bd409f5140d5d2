/** Recordings of runs, scenarios and failures: what is in them, and that the run does not depend on them. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { readRecording, ViewModel, ViewRecord } from '@conclave/view';
import { afterAll, describe, expect, test } from 'vitest';
import { parseScript, runCommands } from '../../src/index.js';
import { KeptRecords, recordedRun, StoryRecorder, writeRecords } from '../../src/recording/index.js';
import { ScenarioRun } from '../../src/scenario/scenario-run.js';
import { withElectionsForFree } from '../support/broken-core.js';

const folder = mkdtempSync(path.join(tmpdir(), 'conclave-recordings-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const change = parseScript(`
peers n1 n2 n3 n4 n5 snapshot=500 chunk=100
network delay=10 loss=0.02 repeat=0.02
run 3000
bootstrap n1 n1 n2 n3 timeout=8000
run 8000
c1 put a 1
c1 put b 2
change n1 n4 n5
run 1000
crash n2
cut n3 | n1 n4 n5
run 1000
reconnect
start n2
run 1000
`);

function recorded(script: string) {
  return recordedRun(parseScript(script), 1).records;
}

function faultsOf(records: readonly ViewRecord[]) {
  return records.flatMap((record) => (record.kind === 'fault' ? [[record.text, record.condition, record.actor]] : []));
}

describe('the recording of a run', () => {
  const { result, records } = recordedRun(change, 7, { hash: true });

  test('changes nothing in the run', () => {
    expect(result.violation).toBeUndefined();
    expect(result.traceHash).toBe(runCommands(change, 7, { hash: true }).traceHash);
  });

  test('has records of the format, in the order of their times', () => {
    let last = 0;
    for (const record of records) {
      expect(ViewRecord.parse(record)).toEqual(record);
      expect(record.at).toBeGreaterThanOrEqual(last);
      last = record.at;
    }
  });

  test('has events, messages with their way, requests and replies, and statuses of all peers', () => {
    const names = new Set(records.flatMap((record) => (record.kind === 'message' ? [record.name] : [])));
    for (const name of ['node.append_entries', 'feed.stored', 'admin.change_peers', 'admin.change_peers.reply'])
      expect(names).toContain(name);
    expect([...names].some((name) => /^kv\..*\.reply$/.test(name))).toBe(true);
    const messages = records.filter((record) => record.kind === 'message');
    expect(messages.some(({ lost }) => lost === true)).toBe(true);
    expect(messages.every(({ lost, arrives_at: arrival, at }) => lost === true || (arrival ?? -1) >= at)).toBe(true);
    expect(records.some((record) => record.kind === 'event' && record.name === 'stage_changed')).toBe(true);
    const peers = new Set(records.flatMap((record) => (record.kind === 'status' ? [record.peer] : [])));
    expect([...peers].sort()).toEqual(['n1', 'n2', 'n3', 'n4', 'n5']);
  });

  test('has the rate of messages, ten times a second', () => {
    const rates = records.filter((record) => record.kind === 'rate');
    expect(rates.length).toBeGreaterThan(100);
    expect(rates.some(({ sent }) => sent > 50)).toBe(true);
  });

  test('is what the page shows: the change is done, with both majorities', () => {
    const model = new ViewModel({ group: 'main', time: 'virtual' });
    model.fold(records);
    const { state } = model;
    const changes = [...state.pastChanges, ...(state.change === null ? [] : [state.change])];
    const done = changes.find(({ newPeers }) => newPeers.includes('n5'));
    expect(done).toMatchObject({ outcome: 'done', newPeers: ['n1', 'n4', 'n5'] });
    expect(done?.ballots[0]?.majorities.map(({ set, stored }) => [set, stored.length >= 2])).toEqual([
      ['old', true],
      ['new', true],
    ]);
    expect(state.configuration?.peers).toEqual(['n1', 'n4', 'n5']);
  });

  test('has its faults: what happens to all actors of a peer is one', () => {
    expect(faultsOf(records)).toEqual([
      ['n2 is killed', 'down', undefined],
      ['n3 is cut off from others', 'cut_off', undefined],
      ['n2 runs again', 'up', undefined],
      ['n3 is connected again', 'up', undefined],
    ]);
  });

  test('can be written and read', async () => {
    const file = path.join(folder, 'run.gz');
    expect(await writeRecords(file, 'seed 7', 'test', records)).toBe(records.length);
    const { header, records: read } = await readRecording(file);
    expect(header).toMatchObject({ title: 'seed 7', group: 'main', time: 'virtual' });
    expect(read).toEqual(records);
  });
});

test('faults of actors, pauses and slow peers are recorded with what they leave', () => {
  const records = recorded(`
peers n1 n2 n3
run 100
crash n1.ballot-box
run 100
pause n2
run 100
resume n2
slow n3 ms=50
run 100
reconnect
cut n2.node -> n2.log-store
run 600
reconnect
run 600
`);
  expect(faultsOf(records)).toEqual([
    ['n1.ballot-box is killed', 'down', 'ballot-box'],
    ['n2 is paused', 'paused', undefined],
    ['n2 continues', 'up', undefined],
    ['messages from and to n3 are slow', 'slow', undefined],
    ['n2.log-store is cut off from others', 'cut_off', 'log-store'],
    ['n3 is as fast as before', 'up', undefined],
    ['n2.log-store is connected again', 'up', undefined],
  ]);
});

describe('the recording of a run that fails', () => {
  test('ends with the invariant that was broken', () => {
    withElectionsForFree(() => {
      const script = parseScript(
        'peers n1 n2 n3\nnetwork delay=10\nrun 3000\nbootstrap n1 n1 n2 n3 timeout=8000\nrun 8000\ncrash n1\ncut n2 | n3\nrun 5000',
      );
      const { result, records } = recordedRun(script, 1);
      const { invariant = '' } = result.violation ?? {};
      expect(invariant).not.toBe('');
      expect(records.at(-1)).toMatchObject({
        kind: 'note',
        level: 'error',
        topic: 'violation',
        text: expect.stringContaining(`${invariant} is broken`),
      });
    });
  });

  test('keeps its end if it is too long, and says how much of its beginning is missing', () => {
    const kept = new KeptRecords(10);
    for (let at = 0; at < 100; at++) kept.add({ at, kind: 'note', level: 'info', text: String(at) });
    const [first, ...others] = kept.newest;
    expect(first).toMatchObject({ kind: 'lost', count: 90, at: 90 });
    expect(others.map(({ at }) => at)).toEqual([90, 91, 92, 93, 94, 95, 96, 97, 98, 99]);
  });
});

test('a scenario is recorded story by story, and a message that is held back arrives when it is released', () => {
  const records: ViewRecord[] = [];
  const run = new ScenarioRun(new StoryRecorder((record) => records.push(record)));
  const commands = [
    'group n1 n2 n3',
    'hold a n1 -> n2 append_entries entries=yes',
    'put a 1',
    'run 50',
    'release a',
    'run 50',
    'group n1',
  ];
  run.runBlock({ source: [], expected: [], commands: commands.map((text, line) => ({ text, line })) });
  expect(records.every((record, at) => record.at >= (records[at - 1]?.at ?? 0))).toBe(true);
  expect(records.filter((record) => record.kind === 'note' && record.text === 'a new story begins')).toHaveLength(2);
  const entries = records.filter(
    (record) =>
      record.kind === 'message' &&
      record.to.peer === 'n2' &&
      record.to.actor === 'node' &&
      record.fields.entries === '5..5',
  );
  expect(entries[0]).toMatchObject({ lost: true, name: 'feed.append' });
  expect(entries.some((record) => record.kind === 'message' && record.arrives_at === record.at)).toBe(true);
});

describe('npm run simulate', () => {
  const command = new URL('../../dist/command/simulate.js', import.meta.url).pathname;

  test('writes a recording of one seed with --record', async () => {
    const script = path.join(folder, 'script.txt');
    const file = path.join(folder, 'recording.gz');
    writeFileSync(script, 'peers n1\nrun 3000\nbootstrap n1 n1 timeout=8000\nrun 8000\n');
    const { stderr } = await promisify(execFile)(process.execPath, [
      command,
      '--seed',
      '3',
      '--script',
      script,
      '--record',
      file,
    ]);
    expect(stderr).toContain(`conclave view --replay ${file}`);
    const { header, records } = await readRecording(file);
    expect(header.title).toBe('seed 3');
    expect(records.some((record) => record.kind === 'event' && record.name === 'leader_elected')).toBe(true);
  });

  test('fails if the recording cannot be written', async () => {
    const script = path.join(folder, 'short.txt');
    writeFileSync(script, 'peers n1\nrun 100\n');
    const args = [command, '--seed', '3', '--script', script, '--record', path.join(folder, 'none', 'file.gz')];
    const error = expect.stringMatching(/error: the recording is not written: .*: no such file or directory/);
    await expect(promisify(execFile)(process.execPath, args)).rejects.toMatchObject({ code: 1, stderr: error });
  });

  test('rejects --record without --seed', async () => {
    const run = promisify(execFile)(process.execPath, [command, '--record', path.join(folder, 'none.gz')]);
    await expect(run).rejects.toMatchObject({
      code: 2,
      stderr: 'error: --record is for one seed: name it with --seed\n',
    });
  });
});
