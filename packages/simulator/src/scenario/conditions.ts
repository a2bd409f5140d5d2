/** What a scenario waits for (`until`): whether a condition holds. */
import type { PeerId } from '@conclave/protocol';
import type { Condition, NumberOfPeer } from '../language/scenario-command.js';
import type { CoreMesh } from '../mesh/core-mesh.js';
import type { MessageFilter } from './message-filter.js';
import type { Requests } from './requests.js';

/** The parts of a story that conditions read. */
export interface ConditionSubjects {
  readonly mesh: CoreMesh;
  readonly requests: Requests;
  readonly filter: MessageFilter;
  /** The events since the scenario waits. */
  readonly events: readonly { readonly peer: string; readonly name: string }[];
}

export function holds(condition: Condition, { mesh, requests, filter, events }: ConditionSubjects): boolean {
  const { leader } = mesh;
  switch (condition.type) {
    case 'leader':
      return condition.peer === undefined ? leader !== undefined : leader === condition.peer;
    case 'no_leader':
      return leader === undefined;
    case 'stage':
      return leader !== undefined && mesh.status(leader).stage === condition.stage;
    case 'role':
      return mesh.node(condition.peer as PeerId).summary().role === condition.role;
    case 'number':
      return numberOf(mesh, condition.peer as PeerId, condition.of) >= condition.atLeast;
    case 'event':
      return events.some(({ peer, name }) => peer === condition.peer && name === condition.event);
    case 'kept':
      return filter.count(condition.name) >= condition.count;
    case 'answered':
      return requests.haveAllReplies;
  }
}

function numberOf(mesh: CoreMesh, peer: PeerId, of: NumberOfPeer): number {
  const summary = mesh.node(peer).summary();
  switch (of) {
    case 'term':
      return summary.term;
    case 'commit':
      return summary.commit_index;
    case 'last':
      return summary.last_index;
    case 'applied':
      return summary.applied_index;
    case 'stored':
      return mesh.disks.lastIndex(peer);
  }
}
