/** A run of a script with its records. */
import type { ViewRecord } from '@conclave/view/records';
import type { Command } from '../language/command.js';
import { type RunOptions, type RunResult, runCommands } from '../run/run-seed.js';
import { KeptRecords } from './kept-records.js';
import { RunRecorder, recordCommands } from './run-recorder.js';

export interface RecordedRun {
  readonly result: RunResult;
  /** If an invariant was broken, the last one names it. */
  readonly records: readonly ViewRecord[];
}

/** Statuses of one peer are recorded at most this often: a random run is long. */
const statusEveryMs = 50;

/** @throws ScriptError if it is not a valid script */
export function recordedRun(
  script: readonly Command[],
  seed: number,
  options: Omit<RunOptions, 'onBegin'> = {},
  kept: KeptRecords = new KeptRecords(),
): RecordedRun {
  let recorder: RunRecorder | undefined;
  const result = runCommands(script, seed, {
    ...options,
    onBegin: (simulation) => {
      recorder = new RunRecorder(simulation.mesh, { onRecord: (record) => kept.add(record), statusEveryMs });
      recordCommands(simulation, recorder);
    },
  });
  recorder?.flush();
  if (result.violation !== undefined) recorder?.failed(result.violation);
  return { result, records: kept.newest };
}
