import type { Question } from '../question.js';

export const failingNewPeer: Question = {
  name: 'failing-new-peer',
  title: 'What does a failing new peer block?',
  answer:
    'No write while it catches up: it counts in no quorum. It blocks its own change up to the deadline, and other changes until then. If new peers die in the joint stage, writes wait until the stage is rolled back.',
  steps: [
    {
      text: 'n4 is dead. A change to {n1,n4,n5} is requested, with a deadline of 3 seconds, and meanwhile a key is written.',
      commands: ['group n1 n2 n3 | n4 n5', 'crash n4', 'change n1 n4 n5 timeout=3000', 'run 300', 'await put a 1'],
      outcomes: [
        { says: 'the write is done: the new peers count in no quorum yet', line: 'put a 1: done, revision 1' },
      ],
    },
    {
      text: 'Another change is requested before the deadline, and then the deadline passes.',
      commands: ['await remove n3', 'until answered', 'status n1'],
      outcomes: [
        { says: 'other changes have to wait', line: 'remove n3: EBUSY not_done: a change to n1,n4,n5 is catching_up' },
        {
          says: 'at its deadline the change fails, and the error names the peer',
          line: 'change n1 n4 n5 timeout=3000: ECATCHUP not_done: did not catch up in time: n4 (never answered)',
        },
        { says: 'the group is as before', line: 'n1: leader, term 2, log 5/5, {n1,n2,n3}' },
      ],
    },
    {
      text: 'You need not wait for the deadline: the change is requested again, and cancelled.',
      commands: ['change n1 n4 n5', 'run 300', 'await cancel', 'await remove n3'],
      outcomes: [
        { says: 'the cancellation ends it at once', line: 'cancel: done, {n1,n2,n3}=>{n1,n4,n5} is undone' },
        { says: 'and the next change is accepted', line: 'remove n3: done, from {n1,n2,n3} to {n1,n2}' },
      ],
    },
    {
      text: 'Another group. The new peers catch up, and crash when the joint stage has begun. The joint entry, and each entry after it, needs n4 or n5.',
      commands: [
        'group n1 n2 n3 | n4 n5',
        'change n1 n4 n5',
        'until stage joint',
        'crash n4 n5',
        'put a 1',
        'run 1000',
        'status n1',
      ],
      outcomes: [
        {
          says: 'entry 6, the write, is not committed, and the status names the missing votes',
          line: 'n1: leader, term 2, log 4/6, {n1,n2,n3}=>{n1,n4,n5}, stage joint, missing votes of n4 n5',
        },
        { says: 'the write has no reply yet', no: 'put a 1' },
      ],
    },
    {
      text: 'At the deadline of the joint stage, after 10 seconds, the leader appends the old configuration again. A majority of the old set commits it, and all entries before it.',
      commands: ['until answered', 'status n1'],
      outcomes: [
        {
          says: 'the change is rolled back',
          line: 'change n1 n4 n5: ECANCELED not_done: the joint stage was not committed in time; missing votes: of the new set n4 n5, of the old set none',
        },
        { says: 'the write is done: nothing was lost', line: 'put a 1: done, revision 1' },
        { says: 'the old set is effective', line: 'n1: leader, term 2, log 7/7, {n1,n2,n3}' },
      ],
    },
  ],
};
