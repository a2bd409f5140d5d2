/**
 * A recording as a source of records: at any speed, in steps, and backwards.
 *
 * Invariants:
 * 1. What was delivered since the last restart are the first `next` records of the recording.
 * 2. Going back delivers the records before that point again, as a restart.
 */
import { ConclaveError } from '@conclave/protocol';
import type { Recording } from '../records/index.js';
import type { ViewRecord } from '../records/record.js';
import type {
  ControlCommand,
  ControlState,
  ControlValue,
  SourceControls,
  SourceInfo,
  SourceListener,
  ViewSource,
} from '../source/view-source.js';

/** Between two deliveries. Backwards they are rarer, as each delivers everything before it. */
const tickMs = 50;
const backwardsTickMs = 250;
const minSpeed = 0.001;
const maxSpeed = 1000;

const heading = 'Playback';
const commands: readonly ControlCommand[] = [
  { name: 'play', label: 'Play / stop', help: 'Plays the recording, or stops it.', heading, parameters: [], key: ' ' },
  {
    name: 'backwards',
    label: 'Play backwards',
    help: 'Plays the recording backwards.',
    heading,
    parameters: [],
    key: 'b',
  },
  { name: 'previous', label: '◀ Step', help: 'Goes back by one record.', heading, parameters: [], key: ',' },
  { name: 'next', label: 'Step ▶', help: 'Goes on by one record.', heading, parameters: [], key: '.' },
  {
    name: 'previous_event',
    label: '◀ Event',
    help: 'Goes back to the event before.',
    heading,
    parameters: [],
    key: '[',
  },
  { name: 'next_event', label: 'Event ▶', help: 'Goes on to the next event.', heading, parameters: [], key: ']' },
  {
    name: 'speed',
    label: 'Set',
    help: 'How fast the time of the recording passes; 1: as it happened.',
    heading: 'Speed',
    parameters: [{ name: 'speed', label: '×', type: 'number', initial: 1, min: minSpeed, max: maxSpeed }],
  },
  {
    name: 'seek',
    label: 'Go',
    help: 'Goes to a time of the recording.',
    heading: 'Time',
    parameters: [{ name: 'at', label: 'time', type: 'number' }],
  },
];

export class ReplaySource implements ViewSource {
  readonly info: SourceInfo;
  readonly controls: SourceControls = {
    state: () => this.state(),
    run: (command, parameters) => this.run(command, parameters),
  };
  private readonly records: readonly ViewRecord[];
  private readonly from: number;
  private readonly to: number;
  private listener: SourceListener | undefined;
  private next = 0;
  private at: number;
  private speed = 1;
  private direction: 1 | -1 = 1;
  private timer: NodeJS.Timeout | undefined;
  private tickedAtMs = 0;

  /** @param nowMs a monotonic clock, in milliseconds */
  constructor(
    recording: Recording,
    private readonly nowMs: () => number = () => performance.now(),
  ) {
    const { group, title, time } = recording.header;
    this.info = { title, group, mode: 'replay', time };
    this.records = recording.records;
    this.from = this.records[0]?.at ?? 0;
    this.to = this.records.at(-1)?.at ?? this.from;
    this.at = this.from;
  }

  subscribe(listener: SourceListener): void {
    this.listener = listener;
    this.play(1);
  }

  async close(): Promise<void> {
    this.stop();
  }

  /** The time passes: delivers what happened until then. */
  private tick(): void {
    const now = this.nowMs();
    const passed = (now - this.tickedAtMs) * this.speed * this.direction;
    this.tickedAtMs = now;
    this.goTo(Math.min(this.to, Math.max(this.from, this.at + passed)));
    const isAtEnd = this.direction > 0 ? this.at >= this.to : this.at <= this.from;
    if (isAtEnd) this.stop();
    else this.timer = setTimeout(() => this.tick(), this.direction > 0 ? tickMs : backwardsTickMs);
    this.listener?.onControls();
  }

  private play(direction: 1 | -1): void {
    this.stop();
    this.direction = direction;
    this.tickedAtMs = this.nowMs();
    this.timer = setTimeout(() => this.tick(), tickMs);
  }

  private stop(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
  }

  /** Delivers the records up to a time, or takes back those after it. */
  private goTo(at: number): void {
    this.at = at;
    let next = this.next;
    while ((this.records[next]?.at ?? Number.POSITIVE_INFINITY) <= at) next += 1;
    while (next > 0 && (this.records[next - 1]?.at ?? 0) > at) next -= 1;
    this.deliver(next);
  }

  private deliver(next: number): void {
    if (next > this.next) this.listener?.onRecords(this.records.slice(this.next, next));
    else if (next < this.next) this.listener?.onRestarted(this.info, this.records.slice(0, next));
    this.next = next;
  }

  /** Goes on or back by one of the records that count. */
  private step(direction: 1 | -1, counts: (record: ViewRecord) => boolean): void {
    this.stop();
    let next = this.next + direction;
    const isCounted = (): boolean => {
      const record = this.records[next - 1];
      return record === undefined || counts(record);
    };
    while (next > 0 && next < this.records.length && !isCounted()) next += direction;
    next = Math.min(this.records.length, Math.max(0, next));
    this.deliver(next);
    this.at = this.records[next - 1]?.at ?? this.from;
  }

  private run(command: string, parameters: Readonly<Record<string, ControlValue>>): void {
    switch (command) {
      case 'play':
        if (this.timer !== undefined) this.stop();
        else {
          if (this.at >= this.to) this.goTo(this.from);
          this.play(1);
        }
        break;
      case 'backwards':
        this.play(-1);
        break;
      case 'previous':
      case 'next':
        this.step(command === 'next' ? 1 : -1, () => true);
        break;
      case 'previous_event':
      case 'next_event':
        this.step(command === 'next_event' ? 1 : -1, ({ kind }) => kind === 'event' || kind === 'fault');
        break;
      case 'speed':
        this.speed = within(parameters.speed, minSpeed, maxSpeed);
        break;
      case 'seek':
        this.goTo(within(parameters.at, this.from, this.to));
        break;
      default:
        throw new ConclaveError('EINVAL', `a recording has no command ${command}`);
    }
    this.listener?.onControls();
  }

  private state(): ControlState {
    const position = { at: this.at, from: this.from, to: this.to };
    return { running: this.timer !== undefined, speed: this.speed * this.direction, position, commands };
  }
}

function within(value: ControlValue | undefined, min: number, max: number): number {
  if (typeof value === 'number' && value >= min && value <= max) return value;
  throw new ConclaveError('EINVAL', `a number from ${min} to ${max} is wanted`);
}
