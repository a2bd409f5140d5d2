/** A run as its phases see it: what `Simulation` gives to whatever happens in the run. */
import type { VirtualClients } from '../clients/virtual-clients.js';
import type { Invariants } from '../invariants/all-invariants.js';
import type { CoreMesh } from '../mesh/core-mesh.js';
import type { QuorumView } from './quorum-view.js';

export interface RunContext {
  readonly mesh: CoreMesh;
  readonly clients: VirtualClients;
  readonly quorums: QuorumView;
  /** Of the group's present history: it is another object after the group was deleted and founded again. */
  readonly invariants: Invariants;
  /** Records which histories continue earlier ones. To be called before clients are checked. */
  recordContinuingHistories(): void;
}

/** @throws InvariantViolation of that name, unless the condition becomes true within this many milliseconds */
export type Expect = (name: string, condition: () => boolean, withinMs: number) => void;
