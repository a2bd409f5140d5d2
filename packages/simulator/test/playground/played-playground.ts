/** A playground whose time passes as the test says. */
import type { ControlState, ControlValue, ExplainedStep, SourceInfo, ViewRecord } from '@conclave/view';
import { Playground, type PlaygroundOptions } from '../../src/playground/index.js';

/** A step of a question has fewer turns. */
const maxTurns = 1000;

export class PlayedPlayground {
  readonly playground: Playground;
  /** Of the present run. */
  records: ViewRecord[] = [];
  restarts: SourceInfo[] = [];
  private tick: (passedMs: number) => void = () => {};

  constructor(options: PlaygroundOptions = {}) {
    this.playground = new Playground({
      ...options,
      ticker: {
        start: (onTick) => {
          this.tick = onTick;
        },
        stop: () => {
          this.tick = () => {};
        },
      },
    });
    this.playground.subscribe({
      onRecords: (records) => this.records.push(...records),
      onRestarted: (info, records) => {
        this.restarts.push(info);
        this.records = [...records];
      },
      onControls: () => {},
    });
    this.tick(0);
  }

  get state(): ControlState {
    return this.playground.controls.state();
  }

  get steps(): readonly ExplainedStep[] {
    return this.state.explanation?.steps ?? [];
  }

  /** The leader, by the statuses of the peers. */
  get leader(): string | undefined {
    const last = new Map<string, { readonly role: string; readonly term: number }>();
    for (const record of this.records) {
      if (record.kind === 'status' && record.status !== null) last.set(record.peer, record.status);
      if (record.kind === 'fault' && record.actor === undefined && record.condition === 'down')
        last.delete(record.peer);
    }
    const leaders = [...last].filter(([, { role }]) => role === 'leader').sort(([, a], [, b]) => b.term - a.term);
    return leaders[0]?.[0];
  }

  command(name: string, parameters: Readonly<Record<string, ControlValue>> = {}): void {
    void this.playground.controls.run(name, parameters);
  }

  finishStep(): void {
    this.command('finish-step');
    this.untilStopped();
  }

  /** Lets this many milliseconds pass for the viewers. */
  pass(ms: number): void {
    this.tick(ms);
  }

  untilStopped(): void {
    for (let turns = 0; this.state.running; turns++) {
      if (turns > maxTurns) throw new Error('it does not stop');
      this.tick(40);
    }
  }
}
