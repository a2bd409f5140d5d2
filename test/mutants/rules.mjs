/**
 * Each rule of DESIGN's section 5, in its order, those of section 4, and those of Raft itself, with the mutants that break it. For a rule
 * without mutants: why, and what else tests it.
 *
 * @typedef {object} Rule
 * @property {string} rule in DESIGN's words, shortened
 * @property {readonly string[]} mutants
 * @property {string} [why] without mutants: why the simulator cannot show it
 * @property {readonly string[]} [testedBy] files that test it otherwise
 *
 * @typedef {object} Chapter
 * @property {string} title
 * @property {readonly Rule[]} rules
 */

/** @type {readonly Chapter[]} */
export const chapters = [
  {
    title: 'Sessions',
    rules: [
      { rule: 'Repeating an `open` with its nonce is the same opening', mutants: ['opened-again-by-a-repeat'] },
      { rule: '`open` raises the durable session', mutants: ['session-not-raised'] },
      { rule: '`open` drops queued commands of older sessions', mutants: ['queued-commands-survive-an-open'] },
      {
        rule: '`open` waits for the running write, and only then reports',
        mutants: ['opened-before-the-running-write'],
      },
      { rule: 'A lower session is refused (EFENCED)', mutants: ['older-session-not-refused'] },
      {
        rule: 'A fenced node stays up, does nothing, and never reopens',
        mutants: ['fenced-node-goes-on', 'fenced-node-opens-again'],
      },
      {
        rule: 'A log-store accepts nothing before an `open` made with this incarnation of it',
        mutants: ['restart-of-the-log-store-not-noticed'],
      },
      {
        rule: 'Links are ordered: a number per session, accepted once, in order, resent until acknowledged',
        mutants: [
          'link-accepts-repeats',
          'link-accepts-past-a-gap',
          'link-does-not-resend',
          'few-ticks-while-messages-are-unacknowledged',
          'few-ticks-to-an-idle-log-store',
        ],
      },
      {
        rule: 'Links have a bounded window',
        mutants: [],
        why: 'a window of 1024 messages is never full in a run of some hundred commands',
        testedBy: ['packages/actor/test/link-acceptor.test.ts', 'packages/node/test/core/leader/leader-state.test.ts'],
      },
    ],
  },
  {
    title: 'Acknowledgements',
    rules: [
      {
        rule: 'Entries are acknowledged after the sync',
        mutants: ['acknowledged-before-sync', 'link-acknowledged-before-the-sync'],
      },
      {
        rule: 'A node sends one `append` for every AppendEntries that it accepts',
        mutants: ['no-append-for-what-is-there'],
      },
      { rule: '`verified_index` is prev_index + count', mutants: ['verified-is-the-last-index'] },
      { rule: 'The node itself never acknowledges', mutants: ['node-acknowledges'] },
      { rule: '`match_index` is never derived from the last index', mutants: ['match-from-the-last-index'] },
      {
        rule: 'A truncation drops the unsent acknowledgements above it; what is being written is truncated, too',
        mutants: [],
        why: 'a new leader sends a follower no entries before that has acknowledged, from its disk and in order, where it agrees: by then nothing older is unsynced. The rule is a second line, should that ever change',
        testedBy: [
          'packages/log-store/test/log-store-truncation.test.ts',
          'packages/log-store/test/log-store-random.test.ts',
        ],
      },
      {
        rule: 'One total order over entries, truncation, term, vote and open; the ABA race',
        mutants: ['replicator-accepts-another-term'],
      },
      { rule: 'A higher `leader_term` is written with the entries', mutants: ['term-not-stored-with-entries'] },
      { rule: 'A lower `leader_term` is refused', mutants: ['entries-of-a-lower-term-accepted'] },
      {
        rule: 'Deletes, the shortened batch and the new one are one write',
        mutants: ['deletes-not-written'],
      },
      {
        rule: '... the shortened batch',
        mutants: [],
        why: 'a batch is of one leader and one term and is sent, stored and replaced as a whole: a conflict begins where a batch does',
        testedBy: [
          'packages/log-store/test/log-store-truncation.test.ts',
          'packages/log-store/test/log-storages.test.ts',
        ],
      },
      {
        rule: 'The node truncates only on a conflict of terms, never at or below commit',
        mutants: ['truncates-without-conflict', 'truncates-below-commit'],
      },
      { rule: 'A `stored` counts iff its term is the one that is led', mutants: ['stored-of-another-term-counted'] },
      {
        rule: 'A `stored` counts iff its store is in the configuration',
        mutants: ['stored-of-another-store-counted', 'stores-of-one-name-are-one-member'],
      },
      {
        rule: 'A `stored` counts iff its group and leader are the own',
        mutants: [],
        why: 'a term has one leader, and a peer one history: with the term and the store checked, these two add nothing',
        testedBy: ['packages/ballot-box/test/ballots.test.ts'],
      },
      {
        rule: 'The maximum per peer is kept',
        mutants: [],
        why: 'a match that falls to an older one is raised again by the next tick: nothing but a later commit comes of it',
        testedBy: ['packages/ballot-box/test/ballots.test.ts', 'packages/ballot-box/test/ballots-oracle.test.ts'],
      },
      {
        rule: 'A match counts only up to what is registered without a gap',
        mutants: ['counted-beyond-what-is-registered'],
      },
      { rule: 'The replicator checks the same', mutants: ['replicator-accepts-another-term'] },
      {
        rule: 'Only rejections need a request id',
        mutants: [],
        why: 'a rejection that answers nothing sends the replicator back to what is known to match: it costs a probe',
        testedBy: ['packages/replicator/test/log-repair.test.ts'],
      },
      {
        rule: 'The first entries may be sent with the probe, and count once they are stored',
        mutants: ['entries-sent-with-a-probe-count-as-stored', 'entries-sent-with-every-probe'],
      },
      {
        rule: "Only entries of the leader's own term are registered",
        mutants: ['earlier-terms-committed-by-counting'],
      },
      {
        rule: 'Each entry has its own ballot, with its configuration and the old one',
        mutants: [
          'joint-commit-by-new-majority',
          'joint-commit-by-old-majority',
          'ballots-by-the-oldest-configuration',
          'ballots-by-the-latest-configuration',
        ],
      },
      {
        rule: '`committed` has session and term',
        mutants: [],
        why: 'what an older term or session has committed is committed, and in every later leader’s log: to accept it is harmless',
        testedBy: ['packages/node/test/core/leader/leader-state.test.ts'],
      },
      { rule: 'Every tick repeats: heartbeats cause a `stored`', mutants: ['heartbeats-begin-nothing'] },
      {
        rule: "Every tick repeats: the leader's own store repeats its own, `committed` repeats",
        mutants: [],
        why: 'both are lost only together with what a client sends again after a second, and that brings new ones',
        testedBy: ['test/scenarios/rule-lost-messages.txt', 'packages/ballot-box/test/ballots.test.ts'],
      },
      {
        rule: 'The node follows its durable position by `seq`',
        mutants: ['vote-sent-before-sync'],
      },
      { rule: 'Votes compare the accepted log', mutants: ['vote-compares-what-is-committed'] },
      {
        rule: 'The term in memory rises before the vote is sent to disk; both are synced before they are sent',
        mutants: [
          'two-votes-in-a-term',
          'vote-not-stored',
          'vote-sent-before-sync',
          'term-forgotten-at-start',
          'term-sent-before-it-is-stored',
          'unsynced-own-vote-counted',
        ],
      },
    ],
  },
  {
    title: 'Replication',
    rules: [
      {
        rule: "A replicator's read carries `leader_term`; a follower refuses entries above the message's term",
        mutants: ['log-read-in-another-term'],
      },
      {
        rule: 'prev_term comes from the same read',
        mutants: [],
        why: 'a read that overlaps a truncation of the leader’s own log, of a leader that has just been elected again, occurs in no random run',
        testedBy: ['packages/log-store/test/log-store-reads.test.ts', 'packages/replicator/test/log-reads.test.ts'],
      },
      {
        rule: 'The groups of a process share the uncommitted appends; each may have one (decision 0138)',
        mutants: ['busy-groups-stop-another'],
      },
      { rule: "Only a new `tick_id` renews followers' timers", mutants: ['any-message-renews-the-timer'] },
      {
        rule: 'A replicator sends nothing an election timeout after its last tick',
        mutants: ['replicator-of-a-silent-node-sends'],
      },
      {
        rule: 'A follower commits at most min(leader_commit, verified_index)',
        mutants: ['commit-beyond-verified', 'stored-commit-beyond-the-log'],
      },
      {
        rule: 'An append from the feed is accepted only after the entry that the leader names, and none while a snapshot replaces the log',
        mutants: ['feed-append-without-previous-term', 'append-under-a-snapshot'],
      },
      {
        rule: 'A higher term from a peer that does not vote does not depose the leader',
        mutants: ['stranger-deposes-the-leader'],
      },
      { rule: 'What is lost on its way is sent again', mutants: ['lost-entries-not-sent-again'] },
    ],
  },
  {
    title: 'Reads and leases',
    rules: [
      {
        rule: 'A linearizable read needs a leader that knows every entry committed before its term',
        mutants: ['read-before-own-term-commit'],
      },
      { rule: "A linearizable read waits for the node's commit index", mutants: ['read-before-it-is-applied'] },
      {
        rule: 'A linearizable read is confirmed by echoes of a quorum',
        mutants: ['read-not-confirmed', 'read-without-a-round', 'one-echo-confirms'],
      },
      {
        rule: '... of a round that began after it arrived',
        mutants: [
          'read-confirmed-by-an-older-round',
          'read-tick-of-the-round-before',
          'read-joins-a-running-round',
          'read-index-joins-a-running-round',
          'follower-read-joins-an-older-question',
        ],
      },
      {
        rule: 'A leader that its quorum has not lately confirmed does not answer for the group',
        mutants: [
          'unconfirmed-leader-reads',
          'confirmed-for-the-own-election-timeout',
          'elected-leader-counts-as-confirmed',
          'unconfirmed-leader-refuses-late-reads',
        ],
      },
      {
        rule: 'A turn answers a bounded number of reads, so that they do not delay ticks and votes',
        mutants: ['reads-in-one-turn'],
      },
      {
        rule: 'Every request that a leader accepted is answered in the end, and its outcome is true',
        mutants: [
          'held-requests-are-forgotten',
          'held-requests-are-not-done',
          'queued-writes-of-an-unconfirmed-leader-are-not-done',
          'queued-writes-are-not-done-for-a-higher-term',
          'held-requests-outlive-the-leadership',
          'refused-before-the-leader-replies',
        ],
      },
      { rule: 'A leader counts itself only while its session is current', mutants: ['read-without-the-own-session'] },
      {
        rule: 'A follower echoes only while it is sure that no second node of its peer has opened the log-store',
        mutants: [
          'echo-without-the-own-session',
          'echo-of-a-session-confirmed-before-a-sync',
          'session-confirmed-as-of-the-answer',
          'acknowledgement-of-another-session',
        ],
      },
      {
        rule: 'A follower answers ticks for reads only of the leader that it follows',
        mutants: ['read-tick-of-any-leader'],
      },
      {
        rule: "A lease runs from the tick's send time, for less than an election timeout",
        mutants: ['lease-from-the-echo', 'lease-twice-as-long'],
      },
      {
        rule: '... of ticks that were received in the sessions of the log-stores, and in this term',
        mutants: [
          'lease-from-echoes-alone',
          'session-tick-survives-a-term',
          'session-tick-of-an-older-term',
          'session-tick-is-the-tick',
        ],
      },
      {
        rule: '... and were sent after the latest configuration',
        mutants: [],
        why: 'in no random run new peers have received nothing from the leader for that long when the stages end',
        testedBy: ['packages/node/test/core/reads/reads.test.ts'],
      },
      {
        rule: "A read by lease needs a committed entry of the leader's own term",
        mutants: ['lease-before-own-term-commit'],
      },
      {
        rule: "A voter with a shorter election timeout than the leader's grants no lease",
        mutants: ['shorter-voter-grants-a-lease'],
      },
      {
        rule: 'A follower reads what the leader has reported as committed since the read arrived, once it has applied that',
        mutants: ['follower-reads-without-asking', 'read-index-unconfirmed', 'follower-reads-before-it-has-applied'],
      },
      {
        rule: 'A leader that its quorum has confirmed grants no vote or pre-vote',
        mutants: ['confirmed-leader-grants-a-vote'],
      },
      {
        rule: 'A node that has just started grants no vote, nor does one that receives a leader’s heartbeats',
        mutants: ['fresh-node-votes', 'voter-helps-in-spite-of-a-leader'],
      },
      {
        rule: 'A voter votes earlier only if its leader permits it, and once NATS has reported that no peer leads',
        mutants: [
          'early-vote-without-permission',
          'early-vote-without-a-report',
          'early-vote-at-once',
          'report-survives-a-tick',
          'started-node-uses-a-report',
          'permission-outlives-its-tick',
        ],
      },
      {
        rule: '... and no leader permits it while a lease is in use; it answers only until voters may replace it',
        mutants: [
          'early-votes-during-a-lease',
          'lease-from-ticks-before-its-announcement',
          'answers-though-replaceable',
          'only-the-confirmed-tick-permits',
        ],
      },
      {
        rule: 'After `timeout_now` the lease is void',
        mutants: ['lease-holds-after-timeout-now', 'lease-survives-timeout-now'],
      },
    ],
  },
  {
    title: 'Clients',
    rules: [
      {
        rule: 'A retried call happens once',
        mutants: [
          'retry-carried-out-twice',
          'session-forgotten',
          'retry-with-a-new-number',
          'another-command-under-a-known-number',
        ],
      },
      {
        rule: 'Results are kept in a bounded window; expiry goes through the log',
        mutants: [],
        why: 'a window of 65,536 numbers is never full in a run; expiry outside of the log has no place in a core, which knows no clock while it applies',
        testedBy: ['packages/kv/test/kv-state-machine.test.ts'],
      },
      { rule: 'An expired session answers `unknown`', mutants: ['expired-session-carries-out'] },
      {
        rule: '`outcome` is always true',
        mutants: [
          'appended-means-not-done',
          'timed-out-means-not-done',
          'answered-before-it-is-committed',
          'reply-of-an-entry-that-was-replaced',
        ],
      },
      { rule: 'A snapshot holds the clients’ sessions', mutants: ['snapshot-without-results'] },
      { rule: 'A lock comes with a token that grows', mutants: ['next-holder-has-the-same-token'] },
      { rule: 'A transaction happens at one moment', mutants: ['transaction-does-not-compare'] },
      { rule: 'A watch reports each change once', mutants: ['watch-passes-over-a-revision', 'watcher-accepts-a-gap'] },
      {
        rule: 'A write is looked up for all watches whose prefix its key has',
        mutants: [],
        why: 'all watches of a run have the same prefix',
        testedBy: [
          'packages/node/test/core/reads/prefix-index.test.ts',
          'packages/node/test/core/reads/many-watches.test.ts',
        ],
      },
      { rule: 'A client has a bounded number of watches', mutants: ['watches-of-a-client-without-bound'] },
      { rule: 'A closed watch ends at once', mutants: ['closed-watch-stays'] },
      { rule: 'A watch keeps its parameters: no other client can take it over', mutants: ['watch-taken-over'] },
    ],
  },
  {
    title: 'What each death does',
    rules: [
      { rule: 'node: on return a follower, from its log-store', mutants: ['term-forgotten-at-start'] },
      { rule: 'log-store: its node restarts', mutants: ['restart-of-the-log-store-not-noticed'] },
      { rule: 'replicator: the node starts its replicators again', mutants: ['replicators-not-started-again'] },
      {
        rule: "ballot-box: the node opens it again and registers its own term's entries",
        mutants: ['ballot-box-not-opened-again', 'ballot-box-opened-without-entries'],
      },
      {
        rule: 'NATS server: its peers connect to another one; if all are down, everything waits',
        mutants: [],
        why: "it is the client library's and the shells' work, not the cores'; the simulator stops servers, and the cores continue",
        testedBy: ['packages/actor/test/transports.test.ts', 'docs/chaos.md'],
      },
      {
        rule: 'A leader one of whose own actors is silent steps down, and does not campaign again',
        mutants: ['half-dead-leader-stays', 'counting-ballot-box-is-sent-few-ticks'],
      },
    ],
  },
  {
    title: 'Disk',
    rules: [
      { rule: 'Every batch has a CRC', mutants: ['bad-checksum-not-noticed'] },
      {
        rule: '`fdatasync`, and the side file that notices a store which came back with less',
        mutants: [],
        why: 'both are in the shell around LevelDB; the simulator has a disk of its own, which loses what was not synced',
        testedBy: ['packages/log-store/test/kill-nine.test.ts', 'packages/log-store/test/level-log-storage.test.ts'],
      },
      {
        rule: 'After a change of LevelDB that failed there is none until the store is reopened',
        mutants: ['changes-after-a-failed-one'],
      },
      {
        rule: 'What LevelDB would lose or skip without an error is noticed: a cut manifest, and tables that it cannot read',
        mutants: ['cut-manifest-is-not-noticed', 'rows-of-unreadable-tables-are-skipped'],
      },
      {
        rule: 'The record of a group counts its other records, so that a missing one is noticed',
        mutants: ['missing-records-are-not-noticed'],
      },
      {
        rule: 'A store that went back behind what it had acknowledged is refused, and does not vote',
        mutants: ['older-copy-accepted-by-a-leader', 'older-copy-votes', 'acknowledged-not-published'],
      },
      {
        rule: 'A store without its side file does not vote before its leader has verified it',
        mutants: ['unverified-store-votes', 'verified-before-it-has-all'],
      },
    ],
  },
  {
    title: 'Snapshots',
    rules: [
      {
        rule: 'A snapshot covers what was applied when it began',
        mutants: ['snapshot-of-a-later-entry', 'snapshot-shows-what-comes-later'],
      },
      {
        rule: '... and has the configuration that is effective there',
        mutants: ['snapshot-without-the-configuration'],
      },
      {
        rule: 'Entries are deleted only up to a durable snapshot that covers them; the log knows the term before its first entry',
        mutants: ['compacts-beyond-the-snapshot', 'base-of-another-term'],
      },
      {
        rule: 'Chunks are stored in order, and a snapshot counts only where it is whole',
        mutants: ['snapshot-counts-with-gaps'],
      },
      {
        rule: 'Installed into a log that has its last entry, it leaves what is behind; else all goes',
        mutants: ['install-drops-what-matches', 'install-keeps-a-tail-of-another-log'],
      },
      { rule: 'One that holds no more than what is committed is not installed', mutants: ['older-snapshot-installed'] },
      {
        rule: 'A transfer continues from its last chunk, over losses and restarts (promise 19)',
        mutants: ['lost-chunks-not-sent-again', 'incoming-chunks-forgotten-by-a-restart', 'incoming-chunks-cleared'],
      },
      {
        rule: 'A restart restores the snapshot, and then applies the entries after it',
        mutants: ['restored-as-of-another-entry'],
      },
      {
        rule: 'What is compacted is committed, and matches whatever a leader sends',
        mutants: ['entries-at-the-base-not-matched'],
      },
    ],
  },
  {
    title: 'Read-only peers',
    rules: [
      {
        rule: 'A read-only peer accepts no entries, and a leader with a read-only majority no writes',
        mutants: ['read-only-peer-accepts-entries', 'read-only-majority-ignored'],
      },
      {
        rule: 'What a leader refuses once it has ordered a transfer may have happened at another (promise 21)',
        mutants: ['refused-as-not-done-after-an-order'],
      },
      {
        rule: 'An order to campaign counts only in the term of the leader that sent it, however late it arrives',
        mutants: ['late-timeout-now-campaigns'],
      },
      {
        rule: 'The target of a transfer has the whole log before it is ordered to campaign',
        mutants: ['handed-over-before-the-whole-log'],
      },
      {
        rule: 'Leadership is transferred only to a peer that can commit entries (promise 32)',
        mutants: ['transfer-where-nothing-commits', 'target-ordered-as-it-was-when-the-transfer-began'],
      },
    ],
  },
  {
    title: 'Leadership moves without a pause for writers (decision 0085)',
    rules: [
      {
        rule: 'While the target of a transfer is behind, the leader appends; the order goes out after half of the time',
        mutants: [
          'writes-wait-for-a-target-that-is-behind',
          'target-that-is-behind-is-never-ordered',
          'target-that-has-not-applied-is-not-behind',
        ],
      },
      {
        rule: 'A peer that stores nothing is no target, and writes wait at most two election timeouts for a target',
        mutants: [
          'target-that-stores-nothing-is-ordered',
          'target-whose-new-store-has-no-vote-is-ordered',
          'writes-wait-for-the-whole-transfer',
        ],
      },
      {
        rule: 'A new leader serves the group before it publishes that it was elected',
        mutants: ['published-before-it-is-served'],
      },
      {
        rule: 'A leader that receives `led_history` of its own history in a later term steps down',
        mutants: ['later-leader-not-accepted'],
      },
      {
        rule: 'After `leader_elected` a client resends what got no reply, except commands that change something',
        mutants: ['not-resent-after-an-election', 'commands-resent-after-an-election'],
      },
      {
        rule: 'A voter whose own log has more than a candidate’s, and that has received no leader, campaigns at once',
        mutants: ['longer-log-waits-for-its-own-time'],
      },
      {
        rule: 'Of two candidates of one term one campaigns again soon, and the other waits',
        mutants: ['rivals-wait-alike'],
      },
    ],
  },
  {
    title: 'Configuration change (section 4)',
    rules: [
      {
        rule: 'Bootstrap asks every peer that hosts the group, for three election timeouts; of two founders one withdraws',
        mutants: [
          'founded-without-asking',
          'founded-by-the-list-alone',
          'founded-too-soon',
          'opening-peer-counts-as-empty',
          'founders-do-not-withdraw',
        ],
      },
      {
        rule: 'Two histories under one name detect each other, and neither serves (issue 10, section 1)',
        mutants: ['other-history-not-noticed'],
      },
      {
        rule: 'A new peer has caught up, beyond the latest configuration, before it counts',
        mutants: ['new-peer-not-awaited', 'caught-up-without-the-configuration'],
      },
      {
        rule: '... and it has caught up: it receives the leader’s new entries as any member does',
        mutants: ['admitted-before-it-has-caught-up'],
      },
      {
        rule: '... and it needs no more time for the entries that it lacks than members need for theirs',
        mutants: ['caught-up-in-spite-of-its-lag', 'replicator-reads-once-all-is-sent'],
      },
      {
        rule: 'Where writers outrun a new peer, they are slowed down, for a bounded moment',
        mutants: ['throttle-without-end', 'throttle-without-pause', 'writers-slowed-for-a-far-peer'],
      },
      { rule: 'A new peer that holds another history is refused (ENOTEMPTY)', mutants: ['other-history-admitted'] },
      {
        rule: 'No change continues to a set of which no peer can lead',
        mutants: ['changes-to-peers-that-cannot-lead'],
      },
      { rule: '`timeout_ms` is a hard deadline', mutants: ['catching-up-without-deadline'] },
      { rule: 'More than one peer changes by a joint stage', mutants: ['no-joint-stage'] },
      { rule: 'The joint stage has a deadline, then it cancels itself', mutants: ['joint-stage-without-deadline'] },
      { rule: 'A leader that was removed transfers its leadership and steps down', mutants: ['removed-leader-stays'] },
      {
        rule: 'The old peers alone confirm a leader only while it can roll the joint stage back',
        mutants: ['old-peers-vouch-for-the-stable-stage'],
      },
      {
        rule: 'A configuration is rolled back if truncated',
        mutants: ['node-keeps-configuration-after-truncation', 'store-keeps-configuration-after-truncation'],
      },
      { rule: 'A new leader finishes a joint change', mutants: ['joint-not-finished-by-the-next-leader'] },
      {
        rule: 'No change before the leader’s first entry is committed; one at a time',
        mutants: ['change-before-the-flush', 'two-changes-at-once'],
      },
      {
        rule: 'Cancel: only the leader that appended the joint entry, and not once the stable one is appended',
        mutants: ['joint-of-an-older-leader-cancelled', 'cancelled-too-late'],
      },
      {
        rule: 'A peer may campaign if the last configuration in its log that it knows to be committed, or a later one, contains it',
        mutants: [
          'campaigns-without-configuration',
          'campaigns-outside-its-configurations',
          'campaigns-by-an-older-configuration',
          'candidate-counts-itself-where-absent',
        ],
      },
    ],
  },
  {
    title: 'Healing and resets (decisions 0038 to 0040)',
    rules: [
      {
        rule: 'A lost store is replaced once the new one has caught up, through a joint configuration',
        mutants: ['replaced-without-a-joint-stage', 'replaced-before-it-has-caught-up', 'lost-store-not-replaced'],
      },
      { rule: '... and only while the bound one is silent', mutants: ['replaced-while-the-bound-store-is-reachable'] },
      {
        rule: 'The replacement of a store is cancelled for what an operator requests',
        mutants: ['replacement-is-not-cancelled'],
      },
      {
        rule: 'A vote goes to one store of a name, and names it',
        mutants: [],
        why: 'two stores of one name have to campaign in one term, both with the joint configuration: no plan gets this far',
        testedBy: ['packages/node/test/core/follower/voting.test.ts', 'packages/ballot-box/test/election.test.ts'],
      },
      {
        rule: 'Nothing is reset while a leader is reachable; peers that are reset in the same way write the same history',
        mutants: ['reset-under-a-leader', 'reset-alike-into-different-histories'],
      },
      {
        rule: 'A reset begins a history of its own; nothing of the old one counts in it (promise 15)',
        mutants: ['reset-into-the-same-history'],
      },
      { rule: 'The next leader reports a change that left no entry', mutants: ['interrupted-change-not-reported'] },
      {
        rule: 'Whoever may be restarted can be stopped, and the group still commits (promise 27)',
        mutants: [
          'restart-advice-by-what-is-received',
          'overtaken-report-replaces-a-later-one',
          'restart-advice-without-own-storing',
          'restart-advice-for-a-lost-store-of-its-own',
          'restart-advice-without-an-election',
          'leader-restarted-before-the-others-have-applied',
          'report-counts-from-its-receipt',
        ],
      },
      {
        rule: 'A follower keeps applying while entries keep coming, so that it can answer when it is elected',
        mutants: ['applying-put-off-by-each-append'],
      },
    ],
  },
  {
    title: 'Histories under one name (decisions 0054, 0055 and 0066)',
    rules: [
      {
        rule: 'A later history counts above all earlier ones, and no further ahead of the clock than it must',
        mutants: ['base-not-raised-in-a-new-history', 'base-not-raised-in-a-restored-group', 'base-ahead-of-the-clock'],
      },
      {
        rule: 'A request that names another history is refused, not done',
        mutants: ['history-not-checked-on-receipt'],
      },
      {
        rule: 'What NATS does not permit is not done, and what it may have delivered is unknown',
        mutants: ['not-permitted-replies-are-not-done', 'not-permitted-ends-all-of-a-subject'],
      },
      {
        rule: 'A client reports the end of a history once, and uses no session in the next one',
        mutants: ['end-of-a-history-not-reported', 'session-carried-into-another-history'],
      },
    ],
  },
  {
    title: 'Leases and locks',
    rules: [
      {
        rule: 'A lease ends once no client has kept it for its time',
        mutants: ['keep-does-not-restart-the-time', 'kept-lease-ends-by-an-older-entry'],
      },
      { rule: 'With a lease its keys are deleted', mutants: ['keys-survive-their-lease'] },
      { rule: 'A lease that has ended does not come back', mutants: ['keep-revives-a-lease'] },
      {
        rule: 'Only a client that proves that it is the holder can release a lock',
        mutants: ['unlock-without-the-secret'],
      },
      {
        rule: 'Locks are passed on in an order that each replica has',
        mutants: ['locks-passed-on-in-insertion-order', 'snapshot-without-waiting-clients'],
      },
    ],
  },
  {
    title: 'Permissions of senders and logins (sections 3 and 8)',
    rules: [
      {
        rule: 'The subject names the sender, and a body of another is dropped',
        mutants: ['sender-not-compared-with-the-body', 'own-messages-from-other-peers'],
      },
      {
        rule: 'A message without a sender in its subject is dropped, unless it is of a peer of the first version',
        mutants: [],
        why: 'the simulator has no subjects',
        testedBy: ['packages/actor/test/transports.test.ts'],
      },
      { rule: 'A reply goes to an inbox', mutants: ['reply-to-a-subject-of-conclave', 'reply-to-a-wildcard'] },
    ],
  },
  {
    title: 'Logins, permissions and foreign programs (decisions 0115 and 0116)',
    rules: [
      { rule: 'A context is read again at each connection', mutants: ['context-read-once'] },
      {
        rule: 'A child process logs in as its parent, and gets the path of a context, not its content',
        mutants: ['child-with-another-login', 'context-copied-for-children'],
      },
      {
        rule: 'A subscription that NATS refuses is retried, and health reports it meanwhile',
        mutants: ['refused-subscription-not-retried', 'refused-subscription-not-reported'],
      },
      {
        rule: 'A client whose login is rejected sends nothing, and reports what was not done',
        mutants: ['sent-while-the-login-is-rejected', 'rejected-login-is-always-not-done'],
      },
      { rule: 'An empty file with a secret counts as one that cannot be read', mutants: ['empty-secret-used'] },
      {
        rule: 'The client library retries the subscription to its replies when it is called',
        mutants: ['refused-replies-stay-refused'],
      },
      {
        rule: 'The log has one line for a lost connection, and one when it is back',
        mutants: ['each-rejected-attempt-logged'],
      },
      {
        rule: 'Signatures are made by Node.js; a secret is checked once; lists of groups are encoded once for all requests of a turn',
        mutants: [],
        why: 'without them a process is slow, and does the same',
        testedBy: ['packages/protocol/test/login.test.ts', 'packages/cli/test/group-api.test.ts'],
      },
      { rule: 'A reply in JSON is from another program: it is ignored', mutants: ['foreign-reply-accepted'] },
      {
        rule: 'A reply that cannot be decoded does not show what was done',
        mutants: ['undecodable-reply-is-not-done'],
      },
      { rule: 'A health check uses the first reply that is about health', mutants: ['health-of-another-program'] },
      {
        rule: 'The check before the start accepts only replies that name the actor that was asked',
        mutants: ['start-prevented-by-another-actor'],
      },
      {
        rule: 'NATS names the caller only of a request that came through a service import',
        mutants: ['caller-named-by-a-header-alone'],
      },
    ],
  },
  {
    title: 'Versions (section 9)',
    rules: [
      {
        rule: 'The level is raised only once every member and new peer supports it',
        mutants: ['level-raised-too-early'],
      },
      { rule: 'A peer below the level is not admitted', mutants: ['peer-below-the-level-admitted'] },
      { rule: 'An entry that cannot be read is never skipped', mutants: ['unknown-entry-skipped'] },
      {
        rule: 'A peer whose log has a configuration that it cannot read does not campaign',
        mutants: ['campaigns-with-an-unreadable-configuration'],
      },
      { rule: 'Members compare digests of their whole state', mutants: ['digest-forgets-locks'] },
      {
        rule: 'A member whose state has diverged is in quarantine, also after a restart',
        mutants: ['quarantine-forgotten-by-a-restart', 'quarantine-not-stored'],
      },
      {
        rule: 'A command that a member does not read is not proposed, and a new peer that reads less than all members is refused',
        mutants: ['command-above-a-members-version-proposed', 'new-peer-of-an-older-command-version'],
      },
    ],
  },
  {
    title: 'Raft',
    rules: [
      {
        rule: 'A vote counts once, of a voter of the configuration, for the election that is open, by a majority of both sets',
        mutants: [
          'vote-counted-twice',
          'answer-of-another-election-counted',
          'elected-of-another-candidacy',
          'vote-of-another-store-counted',
          'joint-election-by-one-majority',
          'half-is-a-majority',
        ],
      },
      { rule: 'A vote in a lower term is refused', mutants: ['vote-in-a-lower-term'] },
      {
        rule: "A vote compares the logs' last terms, then their lengths",
        mutants: ['vote-ignores-the-log', 'vote-compares-lengths-alone'],
      },
      { rule: 'A peer that cannot win raises no term (pre-vote)', mutants: ['no-pre-vote'] },
      { rule: 'A follower accepts entries only if the one before them matches', mutants: ['prev-term-not-checked'] },
      {
        rule: 'Only what is committed is applied',
        mutants: ['applies-what-is-not-committed', 'applies-what-was-replaced'],
      },
    ],
  },
];
