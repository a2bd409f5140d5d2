/** Elections, vote by vote. */
import type { MessageRecord } from '../records/record.js';
import { peerOf } from './peers.js';
import type { ViewState } from './view-state.js';

export function foldElection(state: ViewState, { at, name, fields, from, to }: MessageRecord): void {
  if (name === 'node.request_vote' && typeof fields.term === 'number') {
    const candidate = peerOf(state, from.peer);
    if (candidate === undefined || fields.term < state.term) return;
    const preVote = fields.kind === 'pre_vote';
    const current = state.election;
    if (current?.candidate === from.peer && current.term === fields.term && current.preVote === preVote) return;
    const election = { candidate: from.peer, term: fields.term, preVote, at, granted: [from.peer], rejected: [] };
    state.election = { ...election, won: false };
    candidate.role = preVote ? 'pre_candidate' : 'candidate';
    if (state.leader !== '' && !preVote && fields.term > state.term) state.leader = '';
  }
  if (name === 'ballot-box.vote_response') {
    const { election } = state;
    if (election === null || election.candidate !== to.peer || election.term !== fields.term) return;
    if (election.preVote !== (fields.kind === 'pre_vote')) return;
    const votes = fields.granted === true ? election.granted : election.rejected;
    if (!votes.includes(from.peer)) votes.push(from.peer);
  }
}
