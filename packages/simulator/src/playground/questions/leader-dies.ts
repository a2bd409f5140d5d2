import type { Question } from '../question.js';

export const leaderDies: Question = {
  name: 'leader-dies',
  title: 'How does a change stay atomic if its leader dies?',
  answer:
    'The state of a change is the latest configuration entry in the log of the next leader. Before the joint entry is committed, a majority of the old set decides whether the entry survives. Afterwards no peer without it can be elected, and the next leader completes the change.',
  steps: [
    {
      text: 'The leader n1 has appended the joint entry, and crashes before any other peer receives it.',
      commands: [
        'group n1 n2 n3 | n4 n5',
        'hold entries n1 -> * append_entries entries=yes prev_index=4',
        'change n1 n4 n5',
        'until n1 stored 5',
        'crash n1',
        'run 10',
        'drop entries',
        'until leader',
        'run 300',
        'log from=5',
      ],
      outcomes: [
        { says: 'n2 is elected by the old set, and does not know the change', line: 'n2: leads term 3' },
        { says: 'its log has the old configuration', line: 'n2 3:{n1,n2,n3}' },
      ],
    },
    {
      text: 'n1 starts again, with the joint entry on its disk.',
      commands: ['start n1', 'run 1500', 'log from=5'],
      outcomes: [
        {
          says: 'the entry is truncated: the old configuration is effective again',
          line: 'n1: {n1,n2,n3} effective again, entry 4',
        },
        { says: 'no trace of the change is left', line: 'n1 3:{n1,n2,n3}' },
      ],
    },
    {
      text: 'Another group. The leader crashes when one other peer, n2, has the joint entry. n2 has the most complete log. It needs majorities of both sets, and gets them: the joint entry survives.',
      commands: [
        'group n1 n2 n3 | n4 n5',
        'hold late n1 -> n3 append_entries entries=yes',
        'hold later n1 -> n4 append_entries entries=yes prev_index=4',
        'hold latest n1 -> n5 append_entries entries=yes prev_index=4',
        'change n1 n4 n5',
        'until n2 stored 5',
        'crash n1',
        'drop late',
        'drop later',
        'drop latest',
        'until leader n2',
        'run 500',
        'changes n2',
      ],
      outcomes: [
        { says: 'n2 leads', line: 'n2: leads term 3' },
        { says: 'and completes the change', line: 'n2: {n1,n2,n3}=>{n1,n4,n5} done (stable, entry 7)' },
        { says: 'n2 is not in the new set, and transfers leadership to n4', line: 'n4: leads term 4' },
      ],
    },
    {
      text: 'Another group. The joint entry is committed, and the leader crashes when it has appended the stable entry. Only a peer with the joint entry can be elected.',
      commands: [
        'group n1 n2 n3 | n4 n5',
        'hold stable n1 -> * append_entries entries=yes prev_index=5',
        'change n1 n4 n5',
        'until stage stable',
        'crash n1',
        'run 10',
        'drop stable',
        'until leader',
        'run 1500',
        'status n4',
        'changes n4',
      ],
      outcomes: [
        { says: 'the change is done', line: 'n4: {n1,n2,n3}=>{n1,n4,n5} done (stable, entry 7)' },
        { says: 'a peer of the new set leads', line: 'n4: leader, term 4, log 8/8, {n1,n4,n5}' },
      ],
    },
    {
      text: 'Another group. All five peers crash in the joint stage. No peer knows whether the joint entry is committed. n1, n2 and n4 start again: two of each set.',
      commands: [
        'group n1 n2 n3 | n4 n5',
        'hold acknowledged * -> n1.ballot-box stored match_index=5',
        'change n1 n4 n5',
        'until n2 stored 5',
        'until n3 stored 5',
        'until n4 stored 5',
        'until n5 stored 5',
        'crash all',
        'drop acknowledged',
        'start n1 n2 n4',
        'until leader within=10000',
        'run 1500',
        'status n1',
        'changes n1',
      ],
      outcomes: [
        { says: 'the next leader completes the change', line: 'n1: {n1,n2,n3}=>{n1,n4,n5} done (stable, entry 7)' },
        {
          says: 'the old and the new set never decided independently',
          line: 'n1: leader, term 3, log 7/7, {n1,n4,n5}',
        },
      ],
    },
  ],
};
