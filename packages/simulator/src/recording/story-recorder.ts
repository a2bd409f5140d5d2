/** Records the stories of scenarios one after the other, as one run whose time continues. */
import type { ViewRecord } from '@conclave/view/records';
import type { Actor } from '../mesh/actor.js';
import type { Passing } from '../mesh/message-router.js';
import type { Simulation } from '../run/simulation.js';
import type { StoryObserver } from '../scenario/scenario-run.js';
import { RunRecorder, recordCommands } from './run-recorder.js';

/** Between two stories. */
const pauseMs = 1000;

export class StoryRecorder implements StoryObserver {
  private recorder: RunRecorder | undefined;

  constructor(private readonly onRecord: (record: ViewRecord) => void) {}

  onStory(simulation: Simulation, isHeld: (from: Actor, to: Actor, message: Passing) => boolean): void {
    const { mesh } = simulation;
    const beganMs = this.recorder === undefined ? 0 : this.recorder.nowMs + pauseMs;
    this.recorder?.flush();
    this.recorder = new RunRecorder(mesh, { onRecord: this.onRecord, beginsMs: beganMs - mesh.nowMs, isHeld });
    this.recorder.note('a new story begins', 'info');
    recordCommands(simulation, this.recorder);
  }

  onRequestEnded(line: string): void {
    this.recorder?.note(line);
  }

  onReleased(from: Actor, to: Actor, message: Passing): void {
    this.recorder?.onReleased(from, to, message);
  }
}
