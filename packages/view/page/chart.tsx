/** A chart over the time of the records. */
import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { count } from '../src/text/index.js';
import { timeText } from './connection.js';
import { info, state } from './store.js';
import { colour, theme } from './theme.js';

/** Its name, its values and its colour. */
type Line = readonly [string, readonly (number | null)[], string];

interface ChartProps {
  readonly title: string;
  readonly lines: readonly Line[];
  /** The first time that is shown. */
  readonly from: number;
  readonly unit?: string;
  readonly fill?: boolean;
  readonly steps?: boolean;
}

const height = 120;

export function Chart({ title, lines, from, unit = '', fill = false, steps = false }: ChartProps) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>(undefined);
  const names = lines.map(([name]) => name).join(' ');
  const { at } = state.value.current.series;
  const start = Math.max(
    0,
    at.findIndex((time) => time >= from),
  );
  const data = [at.slice(start).map((time) => time / 1000), ...lines.map(([, values]) => values.slice(start))];
  const newest = lines.map(([name, values]) => [name, values.findLast((value) => value !== null)] as const);

  useEffect(() => {
    const element = box.current;
    if (element === null) return undefined;
    const made = new uPlot(
      options(element.clientWidth, lines, { fill, steps, unit }),
      data as uPlot.AlignedData,
      element,
    );
    plot.current = made;
    const observer = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.destroy();
      plot.current = undefined;
    };
  }, [names, theme.value, info.value]);
  useEffect(() => plot.current?.setData(data as uPlot.AlignedData));

  return (
    <figure class="chart">
      <figcaption>
        <span>{title}</span>
        <span class="values">
          {newest.map(([name, value]) => (
            <span key={name}>
              {lines.length > 1 && `${name} `}
              {value == null ? '–' : `${value < 10 ? Math.round(value * 10) / 10 : count(value)}${unit}`}
            </span>
          ))}
        </span>
      </figcaption>
      <div ref={box} aria-hidden="true" />
    </figure>
  );
}

function options(
  width: number,
  lines: readonly Line[],
  { fill, steps, unit }: { fill: boolean; steps: boolean; unit: string },
): uPlot.Options {
  const axis = {
    stroke: colour('muted'),
    grid: { stroke: colour('line'), width: 1 },
    ticks: { show: false },
    font: '11px system-ui',
  };
  const isVirtual = info.value.time === 'virtual';
  const stepped = uPlot.paths.stepped?.({ align: 1 });
  return {
    width,
    height,
    legend: { show: false },
    cursor: { y: false },
    scales: {
      x: { time: !isVirtual },
      y: { range: (_, min, max) => [0, Math.max(1, (max ?? 1) * 1.15, min ?? 0)] },
    },
    axes: [
      { ...axis, space: 70, size: 24, values: (_, times) => times.map((time) => axisTime(time, isVirtual)) },
      { ...axis, size: 56, values: (_, values) => values.map((value) => `${short(value)}${unit}`) },
    ],
    series: [
      {},
      ...lines.map(([label, , name]) => ({
        label,
        stroke: colour(name),
        width: 2,
        points: { show: false },
        spanGaps: true,
        ...(fill ? { fill: `${colour(name)}22` } : {}),
        ...(steps && stepped !== undefined ? { paths: stepped } : {}),
      })),
    ],
  };
}

function axisTime(seconds: number, isVirtual: boolean): string {
  if (isVirtual) return `${Math.round(seconds * 1000) / 1000} s`;
  return timeText(seconds * 1000).slice(0, 8);
}

function short(value: number): string {
  if (value >= 1_000_000) return `${value / 1_000_000}M`;
  return value >= 10_000 ? `${value / 1000}k` : String(value);
}
