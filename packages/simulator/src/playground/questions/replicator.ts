import type { Question } from '../question.js';

export const replicator: Question = {
  name: 'replicator',
  title: 'What does a replicator do, and how does it start?',
  answer:
    'The leader has one for each target. It identifies the target, finds up to which entry the logs agree (probe), and sends entries (replicate), or a snapshot (install) if the entries are compacted. It decides nothing about commits.',
  steps: [
    {
      text: 'n4 is to be added, and does not run. The leader starts a replicator for it, which does not know the store of n4 and asks for it on each tick.',
      commands: ['group n1 n2 n3 | n4 n5 keep=1 chunk=80', 'crash n4', 'add n4', 'run 500', 'progress n1'],
      outcomes: [
        { says: 'the replicator of n4 identifies its target', line: 'n1 to n4: identify, match 0, never reachable' },
        { says: 'those of the members replicate', line: 'n1 to n2: replicate, match 4' },
      ],
    },
    {
      text: 'n4 starts, and replies. Entries to it are held back: the replicator probes up to which entry the logs agree, with one message at a time.',
      commands: ['hold entries n1 -> n4 append_entries', 'start n4', 'until kept entries', 'run 250', 'progress n1'],
      outcomes: [{ says: 'the replicator probes', line: 'n1 to n4: probe, match 0' }],
    },
    {
      text: 'The messages arrive. n4 acknowledges the first one, and from then on the replicator sends all entries at once.',
      commands: ['release entries', 'until answered', 'run 300', 'progress n1'],
      outcomes: [
        { says: 'n4 has caught up, and is a member', line: 'add n4: done, from {n1,n2,n3} to {n1,n2,n3,n4}' },
        { says: 'its replicator replicates', line: 'n1 to n4: replicate, match 5' },
      ],
    },
    {
      text: 'Three keys are written, and the leader takes a snapshot: the entries before it are compacted. Then n5 is added. It needs these entries, so the leader sends it the snapshot in chunks, which are held back.',
      commands: [
        'await put a 1',
        'await put b 2',
        'await put c 3',
        'await snapshot n1',
        'hold chunks n1 -> n5 install_snapshot',
        'add n5',
        'until kept chunks',
        'run 250',
        'progress n1',
      ],
      outcomes: [{ says: 'the replicator of n5 installs the snapshot', line: 'n1 to n5: install, match 0' }],
    },
    {
      text: 'The chunks arrive. n5 installs the snapshot, and receives the entries after it.',
      commands: ['release chunks', 'until answered', 'run 300', 'progress n1', 'value c n5'],
      outcomes: [
        { says: 'n5 is a member', line: 'add n5: done, from {n1,n2,n3,n4} to {n1,n2,n3,n4,n5}' },
        { says: 'its replicator replicates', line: 'n1 to n5: replicate, match 9' },
        { says: 'and n5 has the state', line: 'n5: c is 3, revision 3' },
      ],
    },
    {
      text: 'Another group, and a peer n4 with the log of another history.',
      commands: [
        'given n4 terms=1,1,1 peers=n4,n9 group=other commit=0',
        'group n1 n2 n3 | n4',
        'await add n4',
        'status n1',
      ],
      outcomes: [
        {
          says: 'the replicator refuses its target before it sends an entry',
          line: 'n1: rejects n4: it holds another history',
        },
        { says: 'and the change fails', line: 'add n4: ENOTEMPTY not_done: n4 holds another history' },
      ],
    },
  ],
};
