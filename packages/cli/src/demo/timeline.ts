/** Prints the progress of the demo, a line each, with the seconds since its start. */

import type { ObservedEvent } from '@conclave/observer';
import type { Output } from '../output.js';

export class Timeline {
  private readonly beganAt = performance.now();

  constructor(private readonly output: Output) {}

  title(text: string): void {
    if (this.output.json) return;
    this.output.line();
    this.output.line(this.output.style('bold', text));
    this.output.line();
  }

  /** Prints an action of the demo. */
  step(text: string): void {
    if (this.output.json) this.output.record({ seconds: this.seconds(), text });
    else this.output.line(`${this.stamp()}  ${text}`);
  }

  /** Prints an event of the group; `text` is the same for people. */
  detail(text: string, event: ObservedEvent): void {
    if (this.output.json)
      this.output.record({ seconds: this.seconds(), text, event: { name: event.name, ...event.body } });
    else this.output.line(`${this.stamp()}    ${this.output.style('cyan', text)}`);
  }

  private stamp(): string {
    return this.output.style('dim', `${this.seconds().toFixed(2).padStart(7)} s`);
  }

  private seconds(): number {
    return Number(((performance.now() - this.beganAt) / 1000).toFixed(3));
  }
}
