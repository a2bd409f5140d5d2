import { describe, expect, it } from 'vitest';
import { ReplaySource, type SourceListener, ViewModel, type ViewRecord } from '../src/index.js';
import { changeRecords } from './samples.js';

const header = { conclave_records: 1, title: 'a change', group: 'main', time: 'wall', version: '0.1.0' } as const;

/** A replay whose records are folded, as the server does it. */
function replayed(records: readonly ViewRecord[] = changeRecords()) {
  const source = new ReplaySource({ header, records, truncated: false });
  let model = new ViewModel(source.info);
  let delivered: ViewRecord[] = [];
  const listener: SourceListener = {
    onRecords: (more) => {
      model.fold(more);
      delivered.push(...more);
    },
    onRestarted: (info, all) => {
      model = new ViewModel(info);
      model.fold(all);
      delivered = [...all];
    },
    onControls: () => undefined,
  };
  source.subscribe(listener);
  const run = (command: string, parameters = {}) => void source.controls.run(command, parameters);
  // It begins to play by itself.
  run('play');
  return {
    source,
    run,
    position: () => source.controls.state().position.at,
    state: () => model.state,
    all: () => delivered,
  };
}

describe('a recording that is played', () => {
  it('goes to any time, forwards and backwards, and shows what a run up to there shows', async () => {
    const { source, run, state } = replayed();
    for (const at of [3200, 2600, 4300, 1000, 3350]) {
      run('seek', { at });
      const expected = new ViewModel(source.info);
      expected.fold(changeRecords().filter((record) => record.at <= at));
      expect(state()).toEqual(expected.state);
    }
    await source.close();
  });

  it('moves forward and back by one record, and by one event', async () => {
    const { source, run, all, position } = replayed();
    run('seek', { at: 3100 });
    const before = all().length;
    run('next');
    expect(all().length).toBe(before + 1);
    expect(position()).toBe(3200);
    run('previous');
    run('previous');
    expect(all().length).toBe(before - 1);
    run('next_event');
    expect(all().at(-1)).toMatchObject({ kind: 'event', at: 3350 });
    run('previous_event');
    expect(all().at(-1)).toMatchObject({ kind: 'event', at: 3001 });
    run('seek', { at: 1000 });
    for (let step = 0; step < 3; step++) run('previous');
    expect(all()).toEqual([]);
    await source.close();
  });

  it('plays at the speed that is set, to its end and back to its beginning', async () => {
    let now = 0;
    const records = changeRecords();
    const source = new ReplaySource({ header, records, truncated: false }, () => now);
    const ends: (() => void)[] = [];
    const delivered: ViewRecord[][] = [];
    source.subscribe({
      onRecords: (more) => delivered.push([...more]),
      onRestarted: (_, all) => delivered.push([...all]),
      onControls: () => {
        now += 1000;
        if (!source.controls.state().running) for (const end of ends.splice(0)) end();
      },
    });
    const ended = () => new Promise<void>((resolve) => ends.push(resolve));
    source.controls.run('speed', { speed: 2 });
    await ended();
    expect(delivered.flat()).toEqual(records);
    expect(source.controls.state().position.at).toBe(4300);
    source.controls.run('backwards', {});
    await ended();
    expect(source.controls.state().position.at).toBe(1000);
    expect(delivered.at(-1)).toEqual(records.slice(0, 1));
    await source.close();
  });

  it('refuses unknown commands, and times and speeds that it does not have', async () => {
    const { source, run } = replayed();
    expect(() => run('spell')).toThrow('a recording has no command spell');
    expect(() => run('seek', { at: 9_999_999 })).toThrow('a number from 1000 to 4300 is wanted');
    expect(() => run('speed', { speed: 0 })).toThrow('a number from 0.001 to 1000 is wanted');
    await source.close();
  });
});
