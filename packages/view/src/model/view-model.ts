/**
 * Folds records into what the page shows. Pure: the server and the page run the same code, and the tests need no clock.
 *
 * Owns: the state. Does not own: where records come from, and how the state is drawn.
 *
 * Invariants:
 * 1. The state is plain JSON: a model of its copy continues in the same way.
 * 2. Nothing grows without a bound: each list has one in `viewLimits`, and what is older than `viewLimits.ageMs` is dropped.
 * 3. A record that refers to something unknown changes nothing else, and never throws: recordings come from anywhere.
 */
import { viewLimits } from '@conclave/protocol/limits';
import type { KnownEventRecord, RateRecord, ViewRecord } from '../records/record.js';
import type { SourceInfo } from '../source/view-source.js';
import { foldChangeEvent, foldKnownChanges, foldOutcome, foldStored } from './change.js';
import { foldElection } from './election.js';
import { foldCondition, foldPeerEvent, foldStatus, peerOf } from './peers.js';
import { SeriesFold } from './series.js';
import { timelineEntry } from './timeline.js';
import { emptyState, type ViewState } from './view-state.js';

/** The width of a point of the charts: a simulated run lasts seconds. */
const stepMs = { wall: 1000, virtual: 20 } as const;

export class ViewModel {
  private readonly series: SeriesFold;

  /** @param state of another model, as JSON; empty by default */
  constructor(
    info: Pick<SourceInfo, 'group' | 'time'>,
    readonly state: ViewState = emptyState(info.group, stepMs[info.time]),
  ) {
    this.series = new SeriesFold(state);
  }

  fold(records: readonly ViewRecord[]): void {
    for (const record of records) this.foldOne(record);
  }

  private foldOne(record: ViewRecord): void {
    const { state } = this;
    state.startedAt ??= record.at;
    state.now = Math.max(state.now, record.at);
    this.series.advance(record.at);
    const entry = timelineEntry(record, state);
    if (entry !== undefined) {
      state.timeline.push(entry);
      keepLast(state.timeline, viewLimits.timeline, state.now);
    }
    switch (record.kind) {
      case 'event':
        // A newer build's event changes nothing here but the timeline.
        return this.foldEvent(record as KnownEventRecord);
      case 'message':
        return this.foldMessage(record);
      case 'status':
        foldStatus(state, record);
        if (record.status?.role === 'leader') foldKnownChanges(state, record.at, record.status);
        foldOutcome(state, record);
        return this.series.status(record);
      case 'fault':
        return foldCondition(state, record);
      case 'note':
        return this.foldNote(record);
      case 'rate':
        return this.foldRate(record);
      case 'lost':
        state.lost += record.count;
        return;
    }
  }

  private foldEvent(record: KnownEventRecord): void {
    foldPeerEvent(this.state, record);
    foldChangeEvent(this.state, record);
  }

  private foldMessage(record: ViewRecord & { kind: 'message' }): void {
    const { state } = this;
    state.arrows.push({ ...record, id: state.nextId });
    state.nextId += 1;
    keepLast(state.arrows, viewLimits.messages, state.now);
    for (const { peer, actor } of [record.from, record.to]) {
      if (peer === '') continue;
      const known = peerOf(state, peer)?.actors[actor];
      if (known === undefined) continue;
      known.lastMessageAt = record.at;
      known.messages += 1;
    }
    if (record.lost === true) return;
    this.series.message(record);
    foldElection(state, record);
    foldStored(state, record);
  }

  private foldNote(record: ViewRecord & { kind: 'note' }): void {
    const { notes } = this.state;
    if (record.topic === undefined) return;
    if (record.text === '') delete notes[record.topic];
    else if (Object.hasOwn(notes, record.topic) || Object.keys(notes).length < viewLimits.notes) {
      notes[record.topic] = { text: record.text, level: record.level, at: record.at };
    }
  }

  private foldRate({ sent, shown }: RateRecord): void {
    this.state.rate = { sent, shown };
    this.series.rate(sent);
  }
}

/** Drops the oldest items: those beyond the bound, and those of more than an hour ago. */
function keepLast(items: { readonly at: number }[], maxCount: number, now: number): void {
  // In steps: removing from the front copies all others.
  if (items.length > maxCount + maxCount / 4) items.splice(0, items.length - maxCount);
  const first = items[0];
  if (first !== undefined && first.at < now - viewLimits.ageMs) {
    const kept = items.findIndex(({ at }) => at >= now - viewLimits.ageMs + 60_000);
    items.splice(0, kept < 0 ? items.length - 1 : kept);
  }
}
