/** The model of the page: pure, without I/O, for browsers and Node.js. */
export { type ChangePlan, type PlanFact, planChange } from './change-plan.js';
export { ViewModel } from './view-model.js';
export {
  type ActorState,
  type Arrow,
  type Ballot,
  type CatchUp,
  type ChangeState,
  drawnActors,
  type ElectionState,
  emptyState,
  type Majority,
  type Membership,
  newPeer,
  type PeerState,
  type Series,
  type TimelineEntry,
  type Tone,
  type ViewState,
} from './view-state.js';
