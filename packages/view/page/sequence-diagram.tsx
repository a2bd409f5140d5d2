/** Draws the rows of the sequence diagram that are in sight. */
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { Arrow } from '../src/model/index.js';
import type { Band } from './change-view.js';
import { timeText } from './connection.js';
import { type Column, type Columns, endsOf, sizes } from './sequence-layout.js';
import { groupOf, stageTexts } from './words.js';

interface DiagramProps {
  readonly arrows: readonly Arrow[];
  readonly columnsFor: (room: number) => Columns;
  readonly bands: readonly Band[];
  readonly live: boolean;
  readonly pause: () => void;
}

export function Diagram({ arrows, columnsFor, bands, live, pause }: DiagramProps) {
  const { row: rowHeight, head: headHeight } = sizes();
  const box = useRef<HTMLElement>(null);
  const [scroll, setScroll] = useState({ top: 0, height: 600, width: 1000 });
  const [chosen, setChosen] = useState<Arrow | undefined>(undefined);
  const { columns, width: columnWidth } = columnsFor(scroll.width);
  const width = Math.max(scroll.width, (columns.at(-1)?.x ?? 0) + columnWidth / 2);
  const height = arrows.length * rowHeight;

  useLayoutEffect(() => {
    if (live && box.current !== null) box.current.scrollTop = box.current.scrollHeight;
  });
  useEffect(() => {
    const element = box.current;
    if (element === null) return undefined;
    const measure = (): void =>
      setScroll({ top: element.scrollTop, height: element.clientHeight, width: element.clientWidth });
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    element.addEventListener('scroll', measure);
    return () => {
      observer.disconnect();
      element.removeEventListener('scroll', measure);
    };
  }, []);

  const first = Math.max(0, Math.floor(scroll.top / rowHeight) - 4);
  const rows = arrows.slice(first, first + Math.ceil(scroll.height / rowHeight) + 8);
  const index = chosen === undefined ? -1 : arrows.findIndex(({ id }) => id === chosen.id);
  const choose = (next: number): void => {
    const arrow = arrows[Math.max(0, Math.min(arrows.length - 1, next))];
    setChosen(arrow);
    const top = arrows.indexOf(arrow as Arrow) * rowHeight;
    const element = box.current;
    if (element === null) return;
    if (top < element.scrollTop) element.scrollTop = top;
    const below = top + rowHeight + headHeight - element.clientHeight;
    if (below > element.scrollTop) element.scrollTop = below;
  };
  const onKey = (event: KeyboardEvent): void => {
    const steps: Record<string, number> = { ArrowDown: 1, ArrowUp: -1, PageDown: 20, PageUp: -20 };
    const step = steps[event.key];
    if (step === undefined) return;
    event.preventDefault();
    pause();
    choose(index < 0 ? arrows.length - 1 : index + step);
  };
  return (
    <>
      <section
        class="diagram"
        ref={box}
        aria-label="Sequence diagram. The arrow keys choose a message."
        // biome-ignore lint/a11y/noNoninteractiveTabindex: the arrow keys choose a message
        tabIndex={0}
        onKeyDown={onKey}
        onWheel={(event) => {
          if (event.deltaY < 0) pause();
        }}
        onTouchMove={pause}
      >
        <Heads columns={columns} columnWidth={columnWidth} width={width} />
        <svg width={width} height={height} aria-hidden="true">
          <Bands bands={bands} rows={rows} first={first} width={width} />
          {columns.map(({ key, x }) => (
            <line
              key={key}
              class="lifeline"
              x1={x}
              x2={x}
              y1={first * rowHeight}
              y2={(first + rows.length) * rowHeight}
            />
          ))}
          {rows.map((arrow, offset) => (
            <Row
              key={arrow.id}
              arrow={arrow}
              columns={columns}
              y={(first + offset + 0.5) * rowHeight}
              width={width}
              isChosen={arrow.id === chosen?.id}
              choose={() => setChosen(arrow)}
            />
          ))}
        </svg>
      </section>
      <Details arrow={chosen} />
    </>
  );
}

interface HeadsProps {
  readonly columns: readonly Column[];
  readonly columnWidth: number;
  readonly width: number;
}

function Heads({ columns, columnWidth, width }: HeadsProps) {
  const { head } = sizes();
  const peers = [...new Set(columns.filter(({ peer }) => peer !== '').map(({ peer }) => peer))];
  const names: Readonly<Record<string, string>> = { 'log-store': 'log', 'ballot-box': 'ballot', replicator: 'repl' };
  return (
    <svg class="heads" width={width} height={head} aria-hidden="true">
      <rect class="background" width={width} height={head} />
      {peers.map((peer) => {
        const own = columns.filter((column) => column.peer === peer);
        const [left, right] = [(own[0]?.x ?? 0) - columnWidth / 2, (own.at(-1)?.x ?? 0) + columnWidth / 2];
        return (
          <g key={peer}>
            <rect class="peer" x={left} y={head * 0.06} width={right - left} height={head * 0.44} rx="6" />
            <text class="peer" x={(left + right) / 2} y={head * 0.37}>
              {peer}
            </text>
          </g>
        );
      })}
      {columns.map(({ key, actor, x }) => (
        <text key={key} class="actor" x={x} y={head * 0.85}>
          {names[actor] ?? actor}
        </text>
      ))}
    </svg>
  );
}

/** The stages behind the rows in sight. */
function Bands({
  bands,
  rows,
  first,
  width,
}: {
  bands: readonly Band[];
  rows: readonly Arrow[];
  first: number;
  width: number;
}) {
  const { row: rowHeight } = sizes();
  return (
    <>
      {bands.map((band) => {
        const from = rows.findIndex(({ at }) => at >= band.from && at <= (band.to ?? at));
        if (from < 0) return null;
        const to = rows.findLastIndex(({ at }) => at >= band.from && at <= (band.to ?? at));
        const y = (first + from) * rowHeight;
        return (
          <g key={`${band.stage} ${band.from}`} class={`band ${band.stage}`}>
            <rect x="0" y={y} width={width} height={(to - from + 1) * rowHeight} />
            <text x={width - 8} y={y + 15}>
              {stageTexts[band.stage]?.name}
            </text>
          </g>
        );
      })}
    </>
  );
}

interface RowProps {
  readonly arrow: Arrow;
  readonly columns: readonly Column[];
  readonly y: number;
  readonly width: number;
  readonly isChosen: boolean;
  readonly choose: () => void;
}

function Row({ arrow, columns, y, width, isChosen, choose }: RowProps) {
  const { row: rowHeight } = sizes();
  const ends = endsOf(arrow, columns);
  if (ends === undefined) return null;
  const right = ends.to >= ends.from;
  const label = arrow.name.slice(arrow.name.indexOf('.') + 1);
  const middle = (ends.from + ends.to) / 2;
  const tip = ends.to + (right ? -1 : 1);
  const isSelf = ends.from === ends.to;
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: the keys of the diagram do the same
    <g
      class={`arrow ${groupOf(arrow.name)} ${arrow.lost ? 'lost' : ''} ${isChosen ? 'chosen' : ''}`}
      onPointerEnter={choose}
      onClick={choose}
    >
      <rect class="row" x="0" y={y - rowHeight / 2} width={width} height={rowHeight} />
      <text class="time" x="8" y={y + 4}>
        {timeText(arrow.at)}
      </text>
      {isSelf ? (
        <path d={`M${ends.from} ${y - 5} h22 v10 h-20`} />
      ) : (
        <line x1={ends.from} x2={tip} y1={y + 5} y2={y + 5} />
      )}
      {!isSelf && <path class="tip" d={`M${tip} ${y + 5} l${right ? -8 : 8} -4 v8 z`} />}
      <text class="label" x={isSelf ? ends.from + 28 : middle} y={y + 1} text-anchor={isSelf ? 'start' : 'middle'}>
        {label}
        {arrow.lost ? ' (lost)' : ''}
      </text>
    </g>
  );
}

function Details({ arrow }: { arrow: Arrow | undefined }) {
  if (arrow === undefined) return <p class="details empty">Point at a message, or choose one with the arrow keys.</p>;
  const { name, from, to, fields, bytes, at, lost } = arrow;
  const place = ({ peer, actor }: Arrow['from']): string => (peer === '' ? actor : `${peer}'s ${actor}`);
  return (
    <div class="details" aria-live="polite">
      <p>
        <i class={`dot ${groupOf(name)}`} /> <strong>{name}</strong> from {place(from)} to {place(to)} at {timeText(at)}
        {bytes > 0 && `, ${bytes} bytes`}
        {lost && ', lost by the network'}
      </p>
      <dl>
        {Object.entries(fields).map(([field, value]) => (
          <div key={field}>
            <dt>{field}</dt>
            <dd>{String(value)}</dd>
          </div>
        ))}
      </dl>
    </div>
  );
}
