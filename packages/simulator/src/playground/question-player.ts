/**
 * Plays the steps of a question while virtual time passes.
 *
 * Owns: which step is played, and what each has printed. It does not let time pass: its caller does, and calls `proceed` after each event.
 */
import { parseCommand } from '../language/parse-command.js';
import type { ScenarioRun, Wait } from '../scenario/scenario-run.js';
import { holds, type Question, type QuestionStep } from './question.js';

/** `next`: not begun. `failed`: a command could not be executed, or did not see what it waits for. */
export type StepState = 'next' | 'current' | 'done' | 'failed';

export interface PlayedStep {
  readonly step: QuestionStep;
  state: StepState;
  printed: string[];
  /** Of each outcome, whether it holds; undefined: not known yet. */
  holds: readonly boolean[] | undefined;
  /** Why it failed. */
  error: string;
}

export class QuestionPlayer {
  readonly steps: readonly PlayedStep[];
  private commands: string[] = [];
  private wait: Wait | undefined;

  constructor(
    readonly question: Question,
    private readonly scenario: ScenarioRun,
  ) {
    this.steps = question.steps.map((step) => ({ step, state: 'next', printed: [], holds: undefined, error: '' }));
  }

  /** The step that is being played. */
  get current(): PlayedStep | undefined {
    return this.steps.find(({ state }) => state === 'current');
  }

  /** Whether no step is left, or one has failed: those after it would show something else. */
  get isOver(): boolean {
    return this.steps.every(({ state }) => state === 'done') || this.steps.some(({ state }) => state === 'failed');
  }

  /** The deadline of the present command; undefined: none waits. */
  get deadlineMs(): number | undefined {
    return this.wait?.endMs;
  }

  /** Begins the next step, unless one is being played or none is left. */
  begin(): void {
    if (this.current !== undefined || this.isOver) return;
    const next = this.steps.find(({ state }) => state === 'next');
    if (next === undefined) return;
    // What was printed between two steps belongs to none.
    this.scenario.takeOutput();
    next.state = 'current';
    this.commands = [...next.step.commands];
    this.proceed();
  }

  /** Executes commands until one has to wait, or the step ends. */
  proceed(): void {
    const { current } = this;
    if (current === undefined) return;
    try {
      this.executeWhatCan();
    } catch (error) {
      this.wait = undefined;
      current.state = 'failed';
      current.error = (error as Error).message;
    }
    current.printed.push(...this.scenario.takeOutput());
    if (current.state === 'current' && this.wait === undefined) this.end(current);
  }

  /** The time of the present command is over. */
  onDeadline(): void {
    const { wait, current } = this;
    if (wait === undefined || current === undefined) return;
    this.wait = undefined;
    if (!wait.isOver()) {
      try {
        wait.onLate();
      } catch (error) {
        current.state = 'failed';
        current.error = (error as Error).message;
      }
    }
    this.proceed();
  }

  private executeWhatCan(): void {
    if (this.wait !== undefined) {
      if (!this.wait.isOver()) return;
      this.wait = undefined;
    }
    for (let next = this.commands.shift(); next !== undefined; next = this.commands.shift()) {
      const wait = this.scenario.execute(parseCommand(next));
      if (wait === undefined || wait.isOver()) continue;
      this.wait = wait;
      return;
    }
  }

  private end(played: PlayedStep): void {
    played.state = 'done';
    played.holds = played.step.outcomes.map((outcome) => holds(outcome, played.printed));
  }
}
