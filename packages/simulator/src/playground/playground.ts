/**
 * The playground: the source of the page's records that is a simulated group. Whoever looks at the page lets time pass, at any speed
 * or step by step, and injects faults.
 *
 * Owns: the run, and how fast it is played. Timers come from outside.
 */
import { ConclaveError } from '@conclave/protocol';
import type {
  ControlCommand,
  ControlParameter,
  ControlState,
  ControlValue,
  ExplainedStep,
  SourceControls,
  SourceInfo,
  SourceListener,
  ViewSource,
} from '@conclave/view';
import { questionParameter, RunControls, validated } from './controls.js';
import { type Opening, PlaygroundRun } from './playground-run.js';
import type { Question } from './question.js';
import type { PlayedStep } from './question-player.js';
import { questions } from './questions/index.js';

/** Calls back again and again, with the milliseconds that have passed. */
export interface Ticker {
  start(onTick: (passedMs: number) => void): void;
  stop(): void;
}

export interface PlaygroundOptions {
  /** The name of a prepared question; undefined: a custom group. */
  readonly question?: string | undefined;
  /** Of a custom group: decides all of its randomness. */
  readonly seed?: number | undefined;
  readonly ticker?: Ticker | undefined;
}

const members = ['n1', 'n2', 'n3'];
const spare = ['n4', 'n5'];
/** Virtual time per time. */
const speeds = ['0.001', '0.01', '0.05', '0.25', '1', '5'];
const initialSpeed = '0.25';
/** Events in one turn of the process: it has to serve the page in between. */
const maxEvents = 2000;
/** A message arrives within this many events: actors tick all the time. */
const maxEventsOfAStep = 5000;
const maxSeed = 2 ** 31;

export class Playground implements ViewSource {
  readonly controls: SourceControls;
  private readonly run: PlaygroundRun;
  private readonly runControls = new RunControls();
  private readonly ticker: Ticker;
  private listener: SourceListener | undefined;
  private question: Question | undefined;
  private seed: number;
  private running = false;
  /** Plays the step as fast as possible. */
  private isHurrying = false;
  private speed = initialSpeed;

  /** @throws ConclaveError EINVAL: there is no such question */
  constructor(options: PlaygroundOptions = {}) {
    this.question = options.question === undefined ? undefined : questionOf(options.question);
    this.seed = options.seed ?? 1;
    this.ticker = options.ticker ?? realTicker();
    this.run = new PlaygroundRun(this.opening);
    this.controls = { state: () => this.state(), run: (command, parameters) => this.execute(command, parameters) };
  }

  get info(): SourceInfo {
    return { title: this.question?.title ?? 'Playground', group: 'main', mode: 'simulate', time: 'virtual' };
  }

  subscribe(listener: SourceListener): void {
    this.listener = listener;
    this.ticker.start((passedMs) => this.onTick(passedMs));
  }

  async close(): Promise<void> {
    this.ticker.stop();
    this.listener = undefined;
  }

  // ---- time --------------------------------------------------------------------------------------

  private onTick(passedMs: number): void {
    if (this.running) {
      const played = this.run.player?.current;
      const forMs = this.isHurrying ? Number.MAX_SAFE_INTEGER : passedMs * Number(this.speed);
      this.run.advance(forMs, maxEvents);
      const isAtAnEnd = this.run.ended !== '' || this.run.player?.current !== played;
      if (isAtAnEnd) this.stop(played);
      this.listener?.onControls();
    }
    this.flush();
  }

  /** @param played the step that was played */
  private stop(played: PlayedStep | undefined): void {
    this.running = false;
    this.isHurrying = false;
    this.run.outcome = outcomeOf(this.run, played);
  }

  private flush(): void {
    const { restarted, records } = this.run.takeRecords();
    if (restarted) this.listener?.onRestarted(this.info, records);
    else if (records.length > 0) this.listener?.onRecords(records);
  }

  // ---- controls ----------------------------------------------------------------------------------

  private execute(name: string, given: Readonly<Record<string, ControlValue>>): void {
    // A step may have ended before the page knew: it runs, or is paused, already.
    if (name === (this.running ? 'play' : 'pause')) return this.listener?.onControls();
    const own = this.ownCommands().find((command) => command.name === name);
    this.run.outcome = undefined;
    if (own === undefined) {
      if (!this.runControls.execute(this.run, name, given)) throw new ConclaveError('EINVAL', `no command ${name}`);
      if (!this.running) this.run.outcome ??= standsStill;
    } else {
      if (own.disabled !== undefined) throw new ConclaveError('EINVAL', `${own.label}: ${own.disabled}`);
      this.executeOwn(name, validated(own.parameters, given));
    }
    this.listener?.onControls();
    this.flush();
  }

  private executeOwn(name: string, parameters: Readonly<Record<string, ControlValue>>): void {
    switch (name) {
      case 'play':
      case 'finish-step':
        this.run.beginStep();
        this.running = true;
        this.isHurrying = name === 'finish-step';
        return;
      case 'pause':
        this.running = false;
        this.isHurrying = false;
        return;
      case 'speed':
        this.speed = parameters.speed as string;
        return;
      case 'next-message':
      case 'next-event':
        return this.step(name);
      case 'question':
        this.question = parameters.question === 'none' ? undefined : questionOf(parameters.question as string);
        return this.reopen();
      case 'reset':
        if (this.question === undefined) this.seed = parameters.seed as number;
        return this.reopen();
    }
  }

  private step(name: 'next-message' | 'next-event'): void {
    this.running = false;
    this.isHurrying = false;
    this.run.beginStep();
    const played = this.run.player?.current;
    if (name === 'next-message') this.run.stepMessage(maxEventsOfAStep);
    else this.run.stepEvent();
    if (this.run.ended !== '' || this.run.player?.current !== played) this.stop(played);
  }

  private reopen(): void {
    this.running = false;
    this.isHurrying = false;
    this.run.open(this.opening);
  }

  private get opening(): Opening {
    return this.question === undefined ? { members, spare, seed: this.seed } : { question: this.question };
  }

  private state(): ControlState {
    const { run } = this;
    return {
      running: this.running,
      speed: Number(this.speed),
      position: { at: run.nowMs, from: 0 },
      commands: [...this.ownCommands(), ...this.runControls.commands(run)],
      explanation: this.explanation(),
      ...(run.outcome === undefined ? {} : { outcome: run.outcome }),
    };
  }

  private ownCommands(): ControlCommand[] {
    const { run, question } = this;
    const ended = run.ended === '' ? {} : { disabled: `${run.ended} Start again.` };
    const noStep = run.player === undefined || run.player.isOver ? { disabled: 'no step is left' } : {};
    const heading = 'Playback';
    const playOrPause = this.running
      ? { name: 'pause', label: 'Pause', help: 'Virtual time stops.' }
      : { name: 'play', label: 'Play', help: 'Virtual time passes; in a question, until the end of the step.' };
    const seed = { name: 'seed', label: 'seed', type: 'number', initial: this.seed, min: 0, max: maxSeed } as const;
    return [
      { ...playOrPause, heading, parameters: [], key: ' ', ...ended },
      {
        name: 'next-message',
        label: 'Next message',
        help: 'Virtual time passes until the next message arrives.',
        heading,
        parameters: [],
        key: 'm',
        ...ended,
      },
      {
        name: 'next-event',
        label: 'Next event',
        help: 'One event: a message arrives, a timer fires, or a disk finishes.',
        heading,
        parameters: [],
        key: 'e',
        ...ended,
      },
      {
        name: 'speed',
        label: 'Speed',
        help: 'How fast virtual time passes.',
        heading,
        parameters: [this.speedChoice()],
        immediate: true,
      },
      {
        name: 'question',
        label: 'Question',
        help: 'Opens a prepared question about membership changes, or a group of your own.',
        heading: 'Questions',
        parameters: [{ ...questionParameter, initial: question?.name ?? 'none' }],
        immediate: true,
      },
      {
        name: 'finish-step',
        label: 'To the end of the step',
        help: 'Plays the step as fast as possible.',
        heading: 'Questions',
        parameters: [],
        key: 'n',
        ...noStep,
        ...ended,
      },
      {
        name: 'reset',
        label: 'Start again',
        help: 'From the beginning, with a new group.',
        heading: 'Questions',
        parameters: question === undefined ? [seed] : [],
        key: 'r',
      },
    ];
  }

  private speedChoice(): ControlParameter {
    const choices = speeds.map((value) => ({ value, label: speedText(Number(value)) }));
    return { name: 'speed', label: 'speed', type: 'choice', choices, initial: this.speed };
  }

  private explanation(): ControlState['explanation'] {
    const { player } = this.run;
    if (player === undefined) return ownGroup;
    const { title, answer } = player.question;
    return { title, paragraphs: [answer], steps: player.steps.map((step) => explained(step)) };
  }
}

const standsStill = { text: 'Done. Virtual time is stopped: play, or go to the next message.', ok: true };

const ownGroup = {
  title: 'A group of your own',
  paragraphs: [
    'n1, n2 and n3 are a group; n4 and n5 run, and are in no group. All run the code of the real actors, in virtual time.',
    'Play, or go from message to message. Kill, pause, partition or slow down peers, change the members, and watch the majorities.',
    'The same seed and the same commands give the same run. The invariants of the simulator are checked after each step.',
  ],
};

function explained({ step, state, holds, printed, error }: PlayedStep): ExplainedStep {
  const outcomes = step.outcomes.map(({ says, line = '' }, at) => ({
    text: says,
    holds: holds?.[at] ?? null,
    seen: printed.includes(line) ? line : '',
  }));
  return { text: step.text, state, outcomes, error };
}

function outcomeOf(run: PlaygroundRun, played: PlayedStep | undefined): ControlState['outcome'] {
  if (run.ended !== '') return { text: run.ended, ok: false };
  if (played === undefined) return run.outcome;
  if (played.state === 'failed') return { text: `The step failed: ${played.error}`, ok: false };
  const holds = played.holds?.every((one) => one) === true;
  if (!holds)
    return {
      text: 'Not all outcomes of the step hold, because of other commands during the step. Start again.',
      ok: false,
    };
  const isLast = run.player?.isOver === true;
  return {
    text: isLast ? 'All steps of the question are done.' : 'The step is done. Play continues with the next.',
    ok: true,
  };
}

function speedText(speed: number): string {
  if (speed === 1) return 'real time';
  return speed > 1 ? `${speed} × real time` : `1/${Math.round(1 / speed)} of real time`;
}

/** @throws ConclaveError EINVAL */
function questionOf(name: string): Question {
  const question = questions.find((one) => one.name === name);
  if (question !== undefined) return question;
  const names = questions.map((one) => one.name).join(', ');
  throw new ConclaveError('EINVAL', `there is no question ${name}: the questions are ${names}`);
}

/** Milliseconds between two ticks. */
const tickMs = 40;
/** A process that was suspended does not catch up. */
const maxPassedMs = 200;

function realTicker(): Ticker {
  let timer: NodeJS.Timeout | undefined;
  return {
    start: (onTick) => {
      let last = performance.now();
      timer = setInterval(() => {
        const now = performance.now();
        onTick(Math.min(now - last, maxPassedMs));
        last = now;
      }, tickMs);
    },
    stop: () => clearInterval(timer),
  };
}
