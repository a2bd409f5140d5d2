/** Entries of the timeline: events, faults and notes in words. */
import type { EventRecord, KnownEventRecord, ViewRecord } from '../records/record.js';
import { eventText } from '../text/index.js';
import type { TimelineEntry, Tone, ViewState } from './view-state.js';

/** Frequent, and shown as progress bars. */
const hidden: readonly string[] = ['catchup_progress'];

const tones: Readonly<Record<string, Tone>> = {
  leader_elected: 'good',
  leader_stepped_down: 'warning',
  stage_changed: 'good',
  configuration_committed: 'good',
  configuration_truncated: 'warning',
  change_failed: 'bad',
  peer_unreachable: 'warning',
  peer_refused: 'bad',
  store_refused: 'bad',
  peer_reset: 'bad',
  other_history_seen: 'bad',
  peer_fenced: 'bad',
  read_only_changed: 'warning',
  applying_stopped: 'bad',
  lock_forced: 'warning',
  lease_forced: 'warning',
  state_diverged: 'bad',
  state_repaired: 'good',
  actor_silent: 'warning',
};

const toneOfLevel = { info: 'plain', warning: 'warning', error: 'bad' } as const;

/** Returns the entry for a record, and numbers it; undefined: it has none. */
export function timelineEntry(record: ViewRecord, state: ViewState): TimelineEntry | undefined {
  const entry = entryOf(record);
  if (entry === undefined) return undefined;
  const numbered = { ...entry, id: state.nextId, at: record.at };
  state.nextId += 1;
  return numbered;
}

function entryOf(record: ViewRecord): Omit<TimelineEntry, 'id' | 'at'> | undefined {
  switch (record.kind) {
    case 'event':
      return hidden.includes(record.name) ? undefined : ofEvent(record);
    case 'fault': {
      const tone = record.condition === 'up' ? 'good' : 'warning';
      return { kind: 'fault', name: record.fault, peer: record.peer, term: 0, text: record.text, tone };
    }
    case 'note':
      if (record.text === '') return undefined;
      return { kind: 'note', name: 'note', peer: '', term: 0, text: record.text, tone: toneOfLevel[record.level] };
    case 'lost': {
      const text = record.count > 0 ? `${record.text} (${record.count} are missing)` : record.text;
      return { kind: 'lost', name: 'records lost', peer: '', term: 0, text, tone: 'warning' };
    }
    default:
      return undefined;
  }
}

function ofEvent(record: EventRecord): Omit<TimelineEntry, 'id' | 'at'> {
  const { name, body } = record;
  const common = { kind: 'event', name, peer: body.peer_id, term: body.term, tone: tones[name] ?? 'plain' } as const;
  // A name that this build does not know has no text.
  return { ...common, text: eventText(record as KnownEventRecord) ?? 'an event of a newer version' };
}
