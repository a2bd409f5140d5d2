/**
 * Counts the uncommitted appends of all groups that a process hosts: the groups share a limit (`core/leader/proposals.ts`), and a core
 * knows only its own appends.
 */
import type { Core } from '@conclave/actor/core';
import type { NodeEffect, NodeInput } from './core/inputs-and-effects.js';

interface AppendingCore extends Core<NodeInput, NodeEffect> {
  readonly uncommittedAppends: number;
}

/** Passes inputs to a core. */
export interface CountedCore extends Core<NodeInput, NodeEffect> {
  /** The core has stopped: its appends count no more. */
  release(): void;
}

export class ProcessAppends {
  private uncommitted = 0;

  /** Returns a core that passes its inputs to `core`, and adds the appends of the other groups to each `idle`. */
  count(core: AppendingCore): CountedCore {
    let own = 0;
    const set = (appends: number): void => {
      this.uncommitted += appends - own;
      own = appends;
    };
    return {
      step: (input, at) => {
        if (input.type !== 'idle') return core.step(input, at);
        const effects = core.step({ type: 'idle', otherAppends: this.uncommitted - own }, at);
        set(core.uncommittedAppends);
        return effects;
      },
      release: () => set(0),
      get dropped() {
        return core.dropped ?? {};
      },
    };
  }
}
