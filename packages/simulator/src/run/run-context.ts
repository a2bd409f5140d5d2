/** What the parts of a run use of it. `Simulation` implements it. */
import type { VirtualClients } from '../clients/virtual-clients.js';
import type { Invariants } from '../invariants/all-invariants.js';
import type { CoreMesh } from '../mesh/core-mesh.js';
import type { QuorumView } from './quorum-view.js';

export interface RunContext {
  readonly mesh: CoreMesh;
  readonly clients: VirtualClients;
  readonly quorums: QuorumView;
  /** The invariants of the group's present history: another object after the group was deleted and founded again. */
  readonly invariants: Invariants;
  /** Records which histories continue earlier ones. Must be called before the clients are checked. */
  recordContinuingHistories(): void;
}

/** Runs the mesh until the condition is true. @throws InvariantViolation of that name after `withinMs` */
export type Expect = (name: string, condition: () => boolean, withinMs: number) => void;
