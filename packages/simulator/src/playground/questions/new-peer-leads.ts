import type { Question } from '../question.js';

export const newPeerLeads: Question = {
  name: 'new-peer-leads',
  title: 'May a new peer lead, and which configuration does it use?',
  answer:
    'It uses the configurations of the log that it receives. Without one, or with none that contains it, it never campaigns. Once it has accepted the joint entry it may lead like any member.',
  steps: [
    {
      text: 'n4 and n5 run, and are in no group. n4 is cut off from all others, and receives no message of a leader.',
      commands: ['group n1 n2 n3 | n4 n5', 'cut n4 | n1 n2 n3 n5', 'run 5000', 'status n4'],
      outcomes: [
        {
          says: 'it does not campaign: it knows no configuration',
          line: 'n4: follower without a leader, term 0, log 0/0, no configuration',
        },
      ],
    },
    {
      text: 'A change to {n1,n4,n5} fails because n4 is down. n5 has caught up: it has the whole log of the group. Then all members crash.',
      commands: [
        'reconnect',
        'crash n4',
        'await change n1 n4 n5 timeout=2000',
        'crash n1 n2 n3',
        'run 5000',
        'status n5',
      ],
      outcomes: [
        {
          says: 'n5 does not campaign: the configurations of its log do not contain it',
          line: 'n5: follower without a leader, term 2, log 4/4, {n1,n2,n3}, unhealthy: knows no leader',
        },
      ],
    },
    {
      text: 'Another group. n4 has accepted the joint entry {n1,n2,n3}=>{n1,n4,n5}, and with it a configuration that contains it. The leader crashes, and n4 has the shortest election timeout.',
      commands: [
        'timeouts n4=1001',
        'group n1 n2 n3 | n4 n5',
        'hold stable n1 -> * append_entries entries=yes prev_index=5',
        'change n1 n4 n5',
        'until n2 stored 5',
        'until n3 stored 5',
        'until n4 stored 5',
        'until n5 stored 5',
        'crash n1',
        'drop stable',
        'until leader n4 within=10000',
        'run 500',
        'changes n4',
      ],
      outcomes: [
        { says: 'n4 is elected', line: 'n4: leads term 3' },
        { says: 'and completes the change', line: 'n4: {n1,n2,n3}=>{n1,n4,n5} done (stable, entry 7)' },
      ],
    },
    {
      text: 'Another group. All peers crash in the joint stage, and the joint entry is on their disks. n2, n3, n4 and n5 start again; n5 has the shortest election timeout.',
      commands: [
        'timeouts n5=1001',
        'group n1 n2 n3 | n4 n5',
        'hold acknowledged * -> n1.ballot-box stored match_index=5',
        'change n1 n4 n5',
        'until n2 stored 5',
        'until n3 stored 5',
        'until n4 stored 5',
        'until n5 stored 5',
        'crash all',
        'drop acknowledged',
        'start n2 n3 n4 n5',
        'until leader within=10000',
        'run 500',
        'status n5',
      ],
      outcomes: [
        {
          says: 'a restart changes nothing: n5 reads the joint entry from its disk, campaigns and leads',
          line: 'n5: leads term 3',
        },
        { says: 'and completes the change', line: 'n5: leader, term 3, log 7/7, {n1,n4,n5}' },
      ],
    },
  ],
};
