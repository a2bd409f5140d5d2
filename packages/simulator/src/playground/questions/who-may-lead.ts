import type { Question } from '../question.js';

export const whoMayLead: Question = {
  name: 'who-may-lead',
  title: 'Which peers may lead in {n1,n2,n3} => {n1,n4,n5} if n2 leads?',
  answer:
    'n2, until the last entry of the change is committed; then it transfers leadership to n1, n4 or n5. If n2 dies, a peer may campaign if the last configuration that it knows to be committed, or a later one in its log, contains it.',
  steps: [
    {
      text: 'n2 leads {n1,n2,n3}. It leads through all stages of a change to {n1,n4,n5}, although it is not in the new set. It does not count itself for the stable entry. When that entry is committed, it transfers leadership to the most up-to-date of the new set.',
      commands: [
        'group n1 n2 n3 | n4 n5',
        'await transfer n2',
        'run 300',
        'change n1 n4 n5',
        'until stage joint',
        'status n2',
        'until answered',
        'until n1 leader within=5000',
        'run 500',
        'status',
      ],
      outcomes: [
        { says: 'the change is done', line: 'change n1 n4 n5: done, from {n1,n2,n3} to {n1,n4,n5}' },
        { says: 'n1, which is in the new set, leads now', line: 'n1: leads term 4' },
        {
          says: 'n2 has stepped down for it, and knows that it was removed',
          line: 'n2: follower without a leader, term 3, log 7/7, {n1,n4,n5}, unhealthy: removed: this peer is no longer a member of the group',
        },
      ],
    },
    {
      text: 'Another group, in which n2 dies in the joint stage. All five peers have the joint entry, so each of the other four may campaign, also n4, which has just joined. n4 has the shortest election timeout. It needs majorities of both sets: n1 and n3 of the old one, n4 and n5 of the new one.',
      commands: [
        'timeouts n4=1001',
        'group n1 n2 n3 | n4 n5',
        'await transfer n2',
        'run 300',
        'change n1 n4 n5',
        'until n1 stored 6',
        'until n3 stored 6',
        'until n4 stored 6',
        'until n5 stored 6',
        'crash n2',
        'until leader n4 within=10000',
        'run 500',
        'changes n4',
      ],
      outcomes: [
        { says: 'n4 leads', line: 'n4: leads term 4' },
        {
          says: 'and completes the change, as every new leader does that finds a joint entry',
          line: 'n4: {n1,n2,n3}=>{n1,n4,n5} done (stable, entry 8)',
        },
      ],
    },
    {
      text: 'Another group, in which n2 dies before any other peer has the joint entry. For n1 and n3 the configuration is still {n1,n2,n3}. n4 has the shortest election timeout, but the configurations in its log do not contain it.',
      commands: [
        'timeouts n4=1001 n3=1500 n1=1900',
        'group n1 n2 n3 | n4 n5',
        'await transfer n2',
        'run 300',
        'hold entries n2 -> * append_entries entries=yes prev_index=5',
        'change n1 n4 n5',
        'until n2 stored 6',
        'crash n2',
        'run 10',
        'drop entries',
        'until leader within=10000',
        'run 500',
        'status n1 n3 n4',
      ],
      outcomes: [
        { says: 'n4 does not campaign; n3 leads', line: 'n3: leads term 4' },
        {
          says: 'a majority of {n1,n2,n3} was enough, and the change is undone',
          line: 'n3: leader, term 4, log 6/6, {n1,n2,n3}',
        },
        { says: 'n4 waits for a leader', no: 'n4: leads' },
      ],
    },
    {
      text: 'Another group, in which n2 dies after it has sent the stable entry to n4 only. n3 is not in the new set, but it knows only the joint entry. It may campaign, and is the first to do so. It needs majorities of both sets: n1 and n3, and n1 and n5.',
      commands: [
        'timeouts n1=1999 n3=1001 n4=1500 n5=1999',
        'group n1 n2 n3 | n4 n5',
        'await transfer n2',
        'run 300',
        'hold a n2 -> n1 append_entries entries=yes prev_index=6',
        'hold b n2 -> n3 append_entries entries=yes prev_index=6',
        'hold c n2 -> n5 append_entries entries=yes prev_index=6',
        'change n1 n4 n5',
        'until n4 stored 7',
        'crash n2',
        'drop a',
        'drop b',
        'drop c',
        'until leader within=10000',
      ],
      outcomes: [{ says: 'n3 leads, although it is not in the new set', line: 'n3: leads term 5' }],
    },
    {
      text: 'n3 appends the joint configuration again in its own term, then the stable one. When that is committed it is removed, and transfers leadership to a peer of the new set.',
      commands: ['until n1 leader within=5000', 'run 2000', 'status n1 n3', 'changes n1'],
      outcomes: [
        { says: 'n1 leads', line: 'n1: leads term 6' },
        {
          says: 'n3 knows that it was removed',
          line: 'n3: follower without a leader, term 5, log 8/8, {n1,n4,n5}, unhealthy: removed: this peer is no longer a member of the group',
        },
        { says: 'the change is done', line: 'n1: {n1,n2,n3}=>{n1,n4,n5} done (stable, entry 8)' },
      ],
    },
  ],
};
