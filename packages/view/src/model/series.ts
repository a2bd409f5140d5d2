/** The charts: a point for each step of time. */
import { viewLimits } from '@conclave/protocol/limits';
import type { MessageRecord, StatusRecord } from '../records/record.js';
import type { Series, ViewState } from './view-state.js';

/** Appends whose commit is awaited. */
const maxPending = 256;

export class SeriesFold {
  constructor(private readonly state: ViewState) {}

  private get open(): Series['open'] {
    return this.state.series.open;
  }

  /** Adds the points up to this time: those of times without records are empty. */
  advance(at: number): void {
    const { series } = this.state;
    const step = Math.floor(at / series.stepMs) * series.stepMs;
    const last = series.at.at(-1);
    if (last === undefined) return this.addPoint(step);
    if (step <= last) return;
    this.closePoint();
    // A long silence needs only its last points.
    let next = Math.max(last + series.stepMs, step - series.stepMs * viewLimits.points);
    for (; next < step; next += series.stepMs) this.addPoint(next);
    this.addPoint(step);
  }

  message({ at, name, from, to, fields }: MessageRecord): void {
    const { state } = this;
    this.open.seen += 1;
    if (name === 'feed.append' && from.peer === to.peer && typeof fields.verified_index === 'number') {
      const index = fields.verified_index;
      state.last = Math.max(state.last, index);
      if (index > (this.open.pending.at(-1)?.index ?? state.commit)) this.open.pending.push({ index, at });
      if (this.open.pending.length > maxPending) this.open.pending.shift();
    }
    if (name === 'feed.committed' && typeof fields.index === 'number') this.commit(fields.index, at);
  }

  status({ status }: StatusRecord): void {
    if (status === null || status.role !== 'leader') return;
    const { series, peers } = this.state;
    // A commit index in a status does not show when an entry was committed.
    this.open.pending = this.open.pending.filter(({ index }) => index > status.commit_index);
    if (this.open.committedBefore < 0) this.open.committedBefore = status.commit_index;
    for (const [name, { lag }] of Object.entries(peers)) {
      if (name === status.peer_id || lag < 0) continue;
      series.lag[name] ??= series.at.map(() => null);
      setLast(series.lag[name], lag);
    }
  }

  /** @param sent messages of the last second, whether recorded or not */
  rate(sent: number): void {
    this.open.sent = sent;
  }

  private commit(index: number, at: number): void {
    const { state } = this;
    if (this.open.committedBefore < 0) this.open.committedBefore = state.commit > 0 ? state.commit : index;
    state.commit = Math.max(state.commit, index);
    while (this.open.pending[0] !== undefined && this.open.pending[0].index <= index) {
      this.open.latencySum += at - this.open.pending[0].at;
      this.open.latencies += 1;
      this.open.pending.shift();
    }
  }

  /** Computes the values of the point that ends. */
  private closePoint(): void {
    const { series, commit, term } = this.state;
    const perSecond = 1000 / series.stepMs;
    if (this.open.committedBefore >= 0) {
      setLast(series.writes, Math.max(0, commit - this.open.committedBefore) * perSecond);
      this.open.committedBefore = Math.max(commit, this.open.committedBefore);
    }
    if (this.open.latencies > 0) setLast(series.latency, this.open.latencySum / this.open.latencies);
    setLast(series.term, term > 0 ? term : null);
    setLast(series.messages, this.open.sent ?? this.open.seen * perSecond);
    this.open.latencies = 0;
    this.open.latencySum = 0;
    this.open.seen = 0;
    this.open.sent = null;
  }

  private addPoint(at: number): void {
    const { series, term } = this.state;
    series.at.push(at);
    for (const column of [series.writes, series.latency, series.messages]) column.push(null);
    series.term.push(term > 0 ? term : null);
    for (const column of Object.values(series.lag)) column.push(null);
    if (series.at.length > viewLimits.points * 1.1) dropFirst(series, series.at.length - viewLimits.points);
  }
}

function setLast(column: (number | null)[], value: number | null): void {
  column[column.length - 1] = value;
}

function dropFirst(series: Series, points: number): void {
  for (const column of [series.at, series.writes, series.latency, series.term, series.messages])
    column.splice(0, points);
  for (const [name, column] of Object.entries(series.lag)) {
    column.splice(0, points);
    // A peer that has left.
    if (column.every((value) => value === null)) delete series.lag[name];
  }
}
