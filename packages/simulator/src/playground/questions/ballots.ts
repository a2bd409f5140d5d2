import type { Question } from '../question.js';

export const ballots: Question = {
  name: 'ballots',
  title: 'Does each log entry have a ballot?',
  answer:
    'Yes, in the ballot-box of the leader: the configuration in effect at that entry, of which a majority must store it; in the joint stage a majority of each set. The log contains no ballots: a new leader creates them for entries of its own term.',
  steps: [
    {
      text: 'One of three members is down, and a key is written. Its ballot is {n1,n2,n3}.',
      commands: ['group n1 n2 n3 | n4 n5', 'crash n3', 'await put a 1', 'start n3', 'run 500'],
      outcomes: [{ says: 'n1 and n2 are a majority', line: 'put a 1: done, revision 1' }],
    },
    {
      text: 'A change to {n1,n4,n5}. The acknowledgements of n4 and n5 are held back when the joint stage begins, and a key is written. Its ballot has both sets.',
      commands: [
        'hold four n4 -> n1.ballot-box stored match_index=6',
        'hold five n5 -> n1.ballot-box stored match_index=6',
        'hold four2 n4 -> n1.ballot-box stored match_index=7',
        'hold five2 n5 -> n1.ballot-box stored match_index=7',
        'change n1 n4 n5',
        'until stage joint',
        'put b 2',
        'run 300',
        'status n1',
      ],
      outcomes: [
        {
          says: 'n1, n2 and n3 store the entries, but of the new set two are missing',
          line: 'n1: leader, term 2, log 5/7, {n1,n2,n3}=>{n1,n4,n5}, stage joint, missing votes of n4 n5',
        },
      ],
    },
    {
      text: 'The acknowledgements of n4 arrive. n1 and n4 are a majority of the new set.',
      commands: ['release four', 'release four2', 'until answered', 'drop five', 'drop five2', 'run 500'],
      outcomes: [
        { says: 'the write is committed', line: 'put b 2: done, revision 2' },
        { says: 'and the change is completed', line: 'change n1 n4 n5: done, from {n1,n2,n3} to {n1,n4,n5}' },
      ],
    },
    {
      text: 'Another group. The leader n1 removes itself, and n3 crashes. The ballot of the entry is {n2,n3}: the leader does not count its own store.',
      commands: [
        'group n1 n2 n3',
        'hold entries n1 -> * append_entries entries=yes',
        'remove n1',
        'until n1 stored 5',
        'crash n3',
        'release entries',
        'run 300',
        'status n1',
      ],
      outcomes: [
        {
          says: 'n1 and n2 have the entry, and it is not committed',
          line: 'n1: leader, term 2, log 4/5, {n2,n3}, stage stable, missing votes of n3',
        },
      ],
    },
    {
      text: 'Another group. An entry of n1 is on the disks of n1 and n2, but the leader crashes before it counts that. n2 is elected. It creates no ballot for this entry, which is of an earlier term.',
      commands: [
        'group n1 n2 n3',
        'hold acknowledged * -> n1.ballot-box stored match_index=5',
        'put a 1',
        'until n2 stored 5',
        'crash n1',
        'drop acknowledged',
        'until leader n2',
        'run 300',
        'status n2',
        'value a n2 n3',
      ],
      outcomes: [
        {
          says: 'the entry is committed together with the first entry of the new term',
          line: 'n2: leader, term 3, log 6/6, {n1,n2,n3}',
        },
        { says: 'and the write is not lost', line: 'n3: a is 1, revision 1' },
      ],
    },
  ],
};
