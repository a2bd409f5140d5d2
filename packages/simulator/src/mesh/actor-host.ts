/**
 * What executes the actors of a run (`CoreMesh`), as its helpers see it. A helper that needs more extends this in its own
 * file with exactly that, so that no helper imports the mesh.
 */
import type { Actor } from './actor.js';
import type { Coverage } from './coverage.js';
import type { Random } from './random.js';
import type { RunObserver } from './run-observer.js';
import type { VirtualNetwork } from './virtual-network.js';

export interface ActorHost {
  readonly coverage: Coverage;
  readonly random: Random;
  readonly network: VirtualNetwork;
  readonly observer: RunObserver;
  /** Calls `run` after this many milliseconds of the run's time. */
  after(ms: number, run: () => void): void;
  /** Runs this at once or, while the actor's process is paused, when it is resumed. */
  runOrDefer(actor: Actor, run: () => void): void;
  /** Passes an input to the actor's core. `from`: the source of the input, for the trace. */
  step(actor: Actor, input: unknown, from: string): void;
}
