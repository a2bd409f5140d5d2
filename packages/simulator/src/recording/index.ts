/** Recordings of runs: in the format that `conclave view --replay` reads. */
export { KeptRecords, writeRecords } from './kept-records.js';
export { type RecordedRun, recordedRun } from './recorded-run.js';
export { type RecorderOptions, RunRecorder } from './run-recorder.js';
export { StoryRecorder } from './story-recorder.js';
