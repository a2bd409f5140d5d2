/**
 * A run that a user controls: the production cores in virtual time, with the commands of scenarios, event by event.
 *
 * Owns: the present story, its records that were not taken yet, and the question that is played. It owns no timer: `advance` lets
 * virtual time pass.
 *
 * Invariants:
 * 1. The same question or seed, and the same commands at the same virtual times, give the same run, however time passes in between.
 * 2. A run is bounded as any run of the simulator is: then, or when an invariant is broken, it ends, until another one is opened.
 */
import type { PeerId } from '@conclave/protocol';
import type { ViewRecord } from '@conclave/view/records';
import { InvariantViolation } from '../invariants/invariant-violation.js';
import type { ScenarioCommand } from '../language/scenario-command.js';
import type { Actor } from '../mesh/actor.js';
import type { CoreMesh } from '../mesh/core-mesh.js';
import type { Passing } from '../mesh/message-router.js';
import { Random } from '../mesh/random.js';
import { RunRecorder } from '../recording/run-recorder.js';
import type { Simulation } from '../run/simulation.js';
import { messageText } from '../scenario/message-filter.js';
import { placeOf, ScenarioRun, type StoryObserver } from '../scenario/scenario-run.js';
import type { Question } from './question.js';
import { QuestionPlayer } from './question-player.js';

/** Which run to open: a prepared question, or a custom group. */
export type Opening =
  | { readonly question: Question }
  | { readonly members: readonly string[]; readonly spare: readonly string[]; readonly seed: number };

/** What was recorded since the records were last taken. */
export interface TakenRecords {
  /** A new story has begun: everything before is void. */
  readonly restarted: boolean;
  readonly records: readonly ViewRecord[];
}

export class PlaygroundRun implements StoryObserver {
  /** Why the run has ended; empty: it has not. */
  ended = '';
  /** What the last command, or the last step, did. */
  outcome: { readonly text: string; readonly ok: boolean } | undefined;
  player: QuestionPlayer | undefined;
  private scenario!: ScenarioRun;
  private story!: Simulation;
  private recorder!: RunRecorder;
  private records: ViewRecord[] = [];
  private restarted = false;
  /** The message that was delivered last. */
  private delivered = '';
  private deliveries = 0;

  constructor(private opening: Opening) {
    this.open(opening);
  }

  /** Opens a run in place of the present one. */
  open(opening: Opening): void {
    this.opening = opening;
    this.ended = '';
    this.outcome = undefined;
    this.player = undefined;
    if ('question' in opening) {
      this.scenario = new ScenarioRun(this);
      this.player = new QuestionPlayer(opening.question, this.scenario);
      this.player.begin();
      return;
    }
    const { members, spare, seed } = opening;
    this.scenario = new ScenarioRun(this, () => new Random(seed));
    this.scenario.execute({ type: 'group', peers: members, spare, options: {} });
  }

  /** Opens the present run from its beginning. */
  restart(): void {
    this.open(this.opening);
  }

  get mesh(): CoreMesh {
    return this.story.mesh;
  }

  get simulation(): Simulation {
    return this.story;
  }

  /** The time of its records. */
  get nowMs(): number {
    return this.recorder.nowMs;
  }

  /** Returns the records since the last call. */
  takeRecords(): TakenRecords {
    this.recorder.flush();
    const taken = { restarted: this.restarted, records: this.records };
    this.records = [];
    this.restarted = false;
    return taken;
  }

  // ---- time --------------------------------------------------------------------------------------

  /**
   * Runs the virtual time on, at most up to the end of the present step of a question.
   * @param most events
   * @returns whether it passed completely
   */
  advance(forMs: number, maxEvents: number): boolean {
    const begun = this.player?.current;
    const endMs = this.mesh.nowMs + forMs;
    const { mesh } = this;
    return this.guarded(() => {
      for (let events = 0; events < maxEvents; events++) {
        if (this.player?.current !== begun || this.mesh !== mesh) return false;
        const next = this.nextMs;
        if (next === undefined || next > endMs) {
          mesh.run(endMs - mesh.nowMs);
          return true;
        }
        this.runNext();
      }
      return false;
    });
  }

  /** Runs the next event; returns whether there was one. */
  stepEvent(): boolean {
    return this.guarded(() => {
      if (this.nextMs === undefined) return false;
      this.runNext();
      return true;
    });
  }

  /** Runs until a message was delivered; returns false if none was within `maxEvents` events. */
  stepMessage(maxEvents: number): boolean {
    const before = this.deliveries;
    for (let events = 0; events < maxEvents && this.deliveries === before; events++) {
      if (!this.stepEvent()) return false;
    }
    if (this.deliveries === before) return false;
    this.outcome = { text: this.delivered, ok: true };
    return true;
  }

  /** The time of the next thing that happens: an event, or the deadline of a command of a question. */
  private get nextMs(): number | undefined {
    const [event, deadline] = [this.mesh.nextMs, this.player?.deadlineMs];
    if (event === undefined || deadline === undefined) return event ?? deadline;
    return Math.min(event, deadline);
  }

  private runNext(): void {
    const { mesh, player } = this;
    const deadline = player?.deadlineMs;
    if (deadline !== undefined && (mesh.nextMs ?? Number.POSITIVE_INFINITY) > deadline) {
      mesh.run(deadline - mesh.nowMs);
      player?.onDeadline();
    } else {
      mesh.runNext();
      player?.proceed();
    }
    // Events of such a run are in its records.
    if (player?.current === undefined) this.scenario.takeOutput();
  }

  // ---- commands ----------------------------------------------------------------------------------

  /** Executes a command that waits for nothing. */
  execute(command: ScenarioCommand): void {
    this.guarded(() => {
      this.scenario.execute(command);
      return true;
    });
  }

  /** Begins the next step of the question, if there is one and no step is being played. */
  beginStep(): void {
    this.guarded(() => {
      this.player?.begin();
      return true;
    });
  }

  /** Whether the disk of a peer can be lost: a majority of what may be effective has its own without it. */
  isSpare(peer: string): boolean {
    return this.story.quorums.isSpare(peer as PeerId);
  }

  private guarded(run: () => boolean): boolean {
    if (this.ended !== '') return false;
    try {
      return run();
    } catch (error) {
      if (!(error instanceof InvariantViolation)) throw error;
      this.ended =
        error.invariant === 'runs-end'
          ? 'The run has reached its limit of events.'
          : `An invariant is broken: ${error.message}`;
      this.recorder.failed(error);
      return false;
    }
  }

  // ---- the story ---------------------------------------------------------------------------------

  onStory(simulation: Simulation, isHeld: (from: Actor, to: Actor, message: Passing) => boolean): void {
    this.story = simulation;
    this.records = [];
    this.restarted = true;
    this.recorder = new RunRecorder(simulation.mesh, {
      onRecord: (record) => this.records.push(record),
      beginsMs: -simulation.mesh.nowMs,
      isHeld,
      onDelivered: (from, to, message) => {
        this.deliveries += 1;
        this.delivered = messageText(placeOf(from), placeOf(to), message);
      },
    });
  }

  onRequestEnded(line: string): void {
    this.recorder.note(line);
    this.outcome = { text: line, ok: !/: (no answer|no responders|[A-Z]+ (not_done|unknown): )/.test(line) };
  }

  onReleased(from: Actor, to: Actor, message: Passing): void {
    this.recorder.onReleased(from, to, message);
  }
}
