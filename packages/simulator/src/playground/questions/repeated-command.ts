import type { Question } from '../question.js';

export const repeatedCommand: Question = {
  name: 'repeated-command',
  title: 'What does a repeated command do?',
  answer:
    'While the change is in progress it is rejected with EBUSY. After the change it succeeds at once and appends nothing. After the change was undone it starts the change again.',
  steps: [
    {
      text: 'n4 does not run, so the change to {n1,n4,n5} stays in its first stage. The same request is sent again, and then another one.',
      commands: [
        'group n1 n2 n3 | n4 n5',
        'crash n4',
        'change n1 n4 n5 timeout=20000',
        'run 300',
        'await change n1 n4 n5',
        'await add n5',
      ],
      outcomes: [
        {
          says: 'the repeated request is rejected, and is not done',
          line: 'change n1 n4 n5: EBUSY not_done: a change to n1,n4,n5 is catching_up',
        },
        { says: 'so is any other change', line: 'add n5: EBUSY not_done: a change to n1,n4,n5 is catching_up' },
      ],
    },
    {
      text: 'n4 starts. The first request was not disturbed by the others: its change continues, and completes.',
      commands: ['start n4', 'until answered', 'run 300', 'log n1 from=5'],
      outcomes: [
        {
          says: 'the first request is done',
          line: 'change n1 n4 n5 timeout=20000: done, from {n1,n2,n3} to {n1,n4,n5}',
        },
        { says: 'its last entry is entry 6', line: 'n1 2:{n1,n2,n3}=>{n1,n4,n5} 2:{n1,n4,n5}' },
      ],
    },
    {
      text: 'The same set is requested once more, in another order. It is in effect already, so nothing has to be appended.',
      commands: ['await change n5 n4 n1', 'run 300', 'log n1 from=5'],
      outcomes: [
        { says: 'it succeeds at once', line: 'change n5 n4 n1: done, {n1,n4,n5} is effective' },
        { says: 'the log has no new entry', line: 'n1 2:{n1,n2,n3}=>{n1,n4,n5} 2:{n1,n4,n5}' },
      ],
    },
    {
      text: 'Another group. Both new peers crash in the joint stage, and the acknowledgements of the others are held back: the change is cancelled twice while the entry that rolls it back is not committed.',
      commands: [
        'group n1 n2 n3 | n4 n5',
        'change n1 n4 n5',
        'until stage joint',
        'crash n4 n5',
        'hold acknowledged * -> n1.ballot-box stored',
        'cancel',
        'await cancel',
      ],
      outcomes: [
        {
          says: 'the second cancellation is rejected: the first one is in progress',
          line: 'cancel: EBUSY not_done: the change is being rolled back already',
        },
      ],
    },
    {
      text: 'The acknowledgements arrive, and the entry is committed. Then the change is cancelled a third time.',
      commands: ['release acknowledged', 'until answered', 'await cancel'],
      outcomes: [
        { says: 'the first cancellation is done', line: 'cancel: done, {n1,n2,n3}=>{n1,n4,n5} is undone' },
        {
          says: 'the change is undone',
          line: 'change n1 n4 n5: ECANCELED not_done: the change was cancelled',
        },
        { says: 'the third one finds no change', line: 'cancel: ENOENT not_done: no change is in progress' },
      ],
    },
    {
      text: 'Another group. The leader crashes before its joint entry reaches any other peer. The next leader reports that the change left nothing behind.',
      commands: [
        'group n1 n2 n3 | n4 n5',
        'hold entries n1 -> * append_entries entries=yes prev_index=4',
        'change n1 n4 n5',
        'until stage joint',
        'crash n1',
        'run 10',
        'drop entries',
        'until leader',
        'run 300',
        'changes n2',
      ],
      outcomes: [
        {
          says: 'the status of the new leader lists the change as undone',
          line: 'n2: {n1,n2,n3}=>{n1,n4,n5} undone (catching_up): EPERM its leader was lost while new peers were catching up; nothing of it happened',
        },
      ],
    },
    {
      text: 'So it is safe to request it again. n1 is still down: n2 and n3 are a majority of the old set, n4 and n5 of the new one.',
      commands: ['await change n1 n4 n5', 'run 300'],
      outcomes: [
        { says: 'the change starts again, and is done', line: 'change n1 n4 n5: done, from {n1,n2,n3} to {n1,n4,n5}' },
      ],
    },
    {
      text: 'bootstrap is repeated at n5: it finds the group, and creates nothing.',
      commands: ['await bootstrap n5 n1 n2 n3', 'run 300'],
      outcomes: [
        {
          says: 'the reply is the group that exists',
          line: 'bootstrap n5 n1 n2 n3: peers=n1,n4,n5 old_peers= leader_id=n4 founded=false',
        },
      ],
    },
  ],
};
