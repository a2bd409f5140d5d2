/** Events as a list and on a time axis, and charts. */
import { signal } from '@preact/signals';
import type { TimelineEntry } from '../src/model/index.js';
import { Chart } from './chart.js';
import { timeText } from './connection.js';
import { info, state } from './store.js';

const words = signal('');
/** How much of the past is shown; 0: everything. */
const spanMs = signal(300_000);
const spans = { wall: [60_000, 300_000, 900_000, 3_600_000], virtual: [1000, 5000, 20_000, 0] } as const;
/** Rows of the list: older ones are found with the filter. */
const maxRows = 300;

export function Timeline() {
  const { timeline, series, now, startedAt } = state.value.current;
  const choices = spans[info.value.time];
  const span = (choices as readonly number[]).includes(spanMs.value) ? spanMs.value : choices[1];
  const from = span === 0 ? (startedAt ?? 0) : Math.max(startedAt ?? 0, now - span);
  const found = timeline.filter((entry) => matches(entry, words.value));
  const entries = found.filter(({ at }) => at >= from);
  return (
    <div class="timeline">
      <section class="card" aria-labelledby="events-title">
        <div class="bar">
          <h2 id="events-title">Events</h2>
          <label>
            <span class="hidden">Filter</span>
            <input
              type="search"
              placeholder="Filter: leader, n2…"
              value={words.value}
              onInput={(event) => {
                words.value = event.currentTarget.value;
              }}
            />
          </label>
          <label>
            Last{' '}
            <select
              value={String(span)}
              onChange={(event) => {
                spanMs.value = Number(event.currentTarget.value);
              }}
            >
              {choices.map((choice) => (
                <option key={choice} value={String(choice)}>
                  {spanText(choice)}
                </option>
              ))}
            </select>
          </label>
        </div>
        <Axis entries={entries} from={from} to={now} />
        <List entries={entries} />
      </section>
      <section class="card charts" aria-labelledby="charts-title">
        <h2 id="charts-title">Charts</h2>
        <Chart
          title="Entries committed per second"
          from={from}
          lines={[['entries/s', series.writes, 'message-replication']]}
          fill
        />
        <Chart
          title="From the leader's append to the commit, as observed"
          unit=" ms"
          from={from}
          lines={[['latency', series.latency, 'message-election']]}
        />
        <Chart title="Entries that followers lack" from={from} lines={lagLines(series.lag)} />
        <Chart title="Term" from={from} lines={[['term', series.term, 'accent']]} steps />
        <Chart
          title="Messages per second"
          from={from}
          lines={[['messages/s', series.messages, 'message-membership']]}
          fill
        />
      </section>
    </div>
  );
}

function lagLines(lag: Readonly<Record<string, (number | null)[]>>): [string, (number | null)[], string][] {
  const names = Object.keys(lag).toSorted();
  return names.map((name, index) => [name, lag[name] ?? [], `line-${(index % 6) + 1}`]);
}

function spanText(ms: number): string {
  if (ms === 0) return 'everything';
  return ms < 60_000 ? `${ms / 1000} s` : ms < 3_600_000 ? `${ms / 60_000} min` : 'hour';
}

function matches({ name, peer, text }: TimelineEntry, filter: string): boolean {
  const all = `${name} ${peer} ${text}`.toLowerCase();
  return filter
    .toLowerCase()
    .split(/\s+/)
    .every((word) => all.includes(word));
}

/** A mark for each event; a band of the axis is as wide as the time that it covers. */
function Axis({ entries, from, to }: { entries: readonly TimelineEntry[]; from: number; to: number }) {
  const width = Math.max(1, to - from);
  const ticks = [0, 0.25, 0.5, 0.75, 1];
  const { change, pastChanges } = state.value.current;
  const bands = [...pastChanges, ...(change === null ? [] : [change])].flatMap(({ stages }) => stages);
  return (
    <svg
      class="axis"
      viewBox="0 0 1000 58"
      preserveAspectRatio="none"
      role="img"
      aria-label={`${entries.length} events on a time axis`}
    >
      {bands.map(({ stage, from: start, to: end }) => {
        const [left, right] = [start, end ?? to].map((at) => (Math.max(0, at - from) / width) * 1000) as [
          number,
          number,
        ];
        return (
          right > 0 && (
            <rect
              key={`${stage} ${start}`}
              class={`band ${stage}`}
              x={left}
              y="4"
              width={Math.max(1, right - left)}
              height="30"
            />
          )
        );
      })}
      <line class="base" x1="0" x2="1000" y1="34" y2="34" />
      {entries.map(({ id, at, tone }) => (
        <line
          key={id}
          class={`mark ${tone}`}
          x1={((at - from) / width) * 1000}
          x2={((at - from) / width) * 1000}
          y1="8"
          y2="34"
        />
      ))}
      {ticks.map((part) => (
        <line key={part} class="tick" x1={part * 1000} x2={part * 1000} y1="34" y2="40" />
      ))}
    </svg>
  );
}

function List({ entries }: { entries: readonly TimelineEntry[] }) {
  if (entries.length === 0) return <p class="empty">No event in this time.</p>;
  const rows = entries.slice(-maxRows).toReversed();
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
    <section class="scroll events" tabIndex={0} aria-label="Events, the newest first">
      <ol>
        {rows.map(({ id, at, peer, name, text, tone, term }) => (
          <li key={id} class={tone}>
            <time>{timeText(at)}</time>
            <span class="who">{peer}</span>
            <span class="what">
              <b>{name.replaceAll('_', ' ')}</b> {text}
              {term > 0 && <small> term {term}</small>}
            </span>
          </li>
        ))}
      </ol>
      {entries.length > rows.length && (
        <p class="empty">{entries.length - rows.length} older events: use the filter.</p>
      )}
    </section>
  );
}
