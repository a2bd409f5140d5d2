/** The prepared questions, in the order of docs/membership-change.md. */
import type { Question } from '../question.js';
import { ballots } from './ballots.js';
import { failingNewPeer } from './failing-new-peer.js';
import { heartbeat } from './heartbeat.js';
import { leaderDies } from './leader-dies.js';
import { newPeerLeads } from './new-peer-leads.js';
import { repeatedCommand } from './repeated-command.js';
import { replicator } from './replicator.js';
import { whoMayLead } from './who-may-lead.js';

export const questions: readonly Question[] = [
  repeatedCommand,
  whoMayLead,
  newPeerLeads,
  failingNewPeer,
  leaderDies,
  replicator,
  ballots,
  heartbeat,
];
