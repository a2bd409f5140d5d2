import type { Question } from '../question.js';

export const heartbeat: Question = {
  name: 'heartbeat',
  title: "When does the leader's heartbeat prevent elections?",
  answer:
    'A voter that received a new tick within the last election timeout grants no vote. After timeout_now it does grant one; and a leader steps down itself if its quorum or one of its own actors is silent.',
  steps: [
    {
      text: 'n3 no longer receives messages of the others, but they receive its messages. It campaigns. The others receive the heartbeats of n1.',
      commands: ['group n1 n2 n3', 'cut n1 n2 -> n3', 'run 3000', 'await put a 1', 'status'],
      outcomes: [
        {
          says: 'n3 gets no pre-vote, and no term increases',
          line: 'n3: pre_candidate, term 2, log 4/4, {n1,n2,n3}, unhealthy: knows no leader',
        },
        { says: 'n1 still leads', line: 'n1: leader, term 2, log 5/5, {n1,n2,n3}' },
      ],
    },
    {
      text: 'n3 is reachable again.',
      commands: ['reconnect', 'run 1000', 'status n1 n3'],
      outcomes: [
        { says: 'no election was needed', line: 'n1: leader, term 2, log 5/5, {n1,n2,n3}' },
        { says: 'n3 has caught up', line: 'n3: follower of n1, term 2, log 5/5, {n1,n2,n3}' },
      ],
    },
    {
      text: 'Leadership is transferred to n3. n1 sends it timeout_now, and n3 campaigns at once; the voters may grant their votes although they have just received a heartbeat of n1.',
      commands: ['await transfer n3', 'run 300', 'status n1 n3'],
      outcomes: [
        { says: 'n3 leads', line: 'n3: leads term 3' },
        { says: 'n1 follows it', line: 'n1: follower of n3, term 3, log 6/6, {n1,n2,n3}' },
      ],
    },
    {
      text: 'The leader n3 is cut off from both others. Its heartbeats arrive nowhere, and no other peer confirms it.',
      commands: ['cut n3 | n1 n2', 'until n3 says leader_stepped_down within=5000', 'run 1500', 'status n1 n2'],
      outcomes: [
        { says: 'it steps down by itself', line: 'n3: steps down: its quorum is silent' },
        { says: 'the others elect another one', line: 'n1: leads term 4' },
        { says: 'and follow it', line: 'n2: follower of n1, term 4, log 7/7, {n1,n2,n3}' },
      ],
    },
    {
      text: 'Another group. The ballot-box of the leader crashes. The heartbeats arrive as before, but nothing can be committed.',
      commands: ['group n1 n2 n3', 'crash n1.ballot-box', 'until leader n2 within=10000', 'run 1000', 'status n1 n2'],
      outcomes: [
        { says: 'the leader steps down by itself', line: 'n1: steps down: its own ballot-box is silent' },
        { says: 'n2 is elected', line: 'n2: leads term 3' },
      ],
    },
    {
      text: 'Another group. n3 is removed while it is cut off: it does not know of its removal. When it is reachable again, it requests pre-votes.',
      commands: [
        'group n1 n2 n3',
        'cut n3 | n1 n2',
        'await remove n3',
        'run 3000',
        'reconnect',
        'until n3 says peer_removed',
        'run 300',
        'status n1 n3',
      ],
      outcomes: [
        { says: 'it raises no term', line: 'n1: leader, term 2, log 5/5, {n1,n2}' },
        { says: 'and the leader notifies it of its removal', line: 'n3: knows that it was removed, entry 5' },
      ],
    },
  ],
};
