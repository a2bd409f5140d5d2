/** The progress of a new peer as events and replies report it. */
import { type EventDetail, type LogIndex, type Progress, snapshotPercent } from '@conclave/protocol';

export function catchupState({
  caught_up,
  refusal,
  silent_ms,
  install,
}: Progress): EventDetail<'catchup_progress'>['state'] {
  if (refusal !== '') return 'refused';
  if (caught_up) return 'caught_up';
  if (silent_ms < 0) return 'never_heard_of';
  return install === null ? 'lagging' : 'installing';
}

/** Returns how much it has stored of the snapshot that is sent to it; 0 if none is. */
export function installPercent({ install }: Progress): number {
  return install === null ? 0 : snapshotPercent(install.stored, install.chunks);
}

/** Returns how much a new peer has of the snapshot that is sent to it, otherwise of the log. 100 of the log: caught up. */
export function reachedPercent(progress: Progress, lastIndex: LogIndex): number {
  if (progress.refusal !== '') return 0;
  if (progress.caught_up) return 100;
  if (progress.install !== null) return installPercent(progress);
  return lastIndex === 0 ? 0 : Math.min(Math.floor((100 * progress.match_index) / lastIndex), 99);
}

/** Entries a second. */
export interface CatchupRates {
  readonly peer: number;
  readonly group: number;
}

/**
 * Returns how far a peer was that did not catch up in time (promise 12), and what is wrong with it, if that is known.
 * @param silentAfterMs a peer that has sent or stored nothing for longer is silent
 */
export function catchupText(
  progress: Progress | undefined,
  lastIndex: LogIndex,
  rates: CatchupRates,
  silentAfterMs: number,
): string {
  if (progress === undefined || progress.silent_ms < 0) return '(never answered)';
  const problem = problemOf(progress, silentAfterMs);
  return `(${distanceText(progress, lastIndex, rates)})${problem === '' ? '' : `: ${problem}`}`;
}

function distanceText(progress: Progress, lastIndex: LogIndex, rates: CatchupRates): string {
  if (progress.install !== null) return `installing a snapshot at ${installPercent(progress)} %`;
  const lag = `lags by ${Math.max(lastIndex - progress.match_index, 0)} entries`;
  const [peer, group] = [Math.round(rates.peer), Math.round(rates.group)];
  return `${lag}, stored ${peer} entries/s while the group wrote ${group} entries/s`;
}

function problemOf({ silent_ms, stored_ms = 0, refusal, read_only, install }: Progress, silentAfterMs: number): string {
  if (silent_ms > silentAfterMs) return `silent for ${Math.floor(silent_ms / 1000)} s`;
  if (refusal !== '') return `rejected: ${refusal}`;
  if (read_only) return 'read-only';
  return install === null && (stored_ms < 0 || stored_ms > silentAfterMs) ? 'its log-store stores nothing' : '';
}
