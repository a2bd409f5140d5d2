/**
 * Every bound of Conclave, in one place. Sizes are bytes of the encoded form, times are milliseconds,
 * counts are counts. What is past a bound is answered with an error or dropped and counted; no queue,
 * batch, window or payload grows without one.
 *
 * The sizes hang together: a batch fits an `append`, an `append` with its metadata fits NATS's default
 * `max_payload` (1 MiB).
 */
const KiB = 1024;
const MiB = 1024 * KiB;

export const limits = {
  // Names.
  /** A group's or peer's name. */
  nameBytes: 64,
  /** An id that Conclave draws; some hold a name. */
  idBytes: 128,

  // Payloads.
  /** A message on NATS. A server that allows less is refused at start. */
  messageBytes: 1 * MiB,
  /** The payload of one entry, which is one request of a client. */
  entryBytes: 512 * KiB,
  /** A batch is closed when it has this many bytes. */
  batchBytes: 512 * KiB,
  /** Entries of a batch. */
  batchEntries: 4096,
  /** The batches of one `append` or `append_entries`. */
  appendBytes: 768 * KiB,
  /** Batches in one message. */
  appendBatches: 256,
  /** Levels of nesting in a message of msgpack. */
  messageDepth: 16,

  // Groups.
  /** Peers of a configuration. */
  configurationPeers: 31,
  /** How often a group may be reset: so that its terms stay whole numbers. */
  epochs: 4000,
  /** Pairs of peer and store of which a ballot-box keeps what it has heard, in a term; some are in no configuration yet. */
  acknowledgedStores: 128,
  /** Peers not listed that host a group and are asked what they hold before it is founded. */
  foundingHosts: 256,
  /** Answers to one question of service discovery; with more, not all can be known. */
  discoveryAnswers: 32_768,
  /** Peers whose lists of groups are kept while groups are founded; with more, not all can be known. */
  discoveryPeers: 4096,
  /** Other histories of its group that a leader remembers. */
  otherHistories: 8,
  /** A leader publishes which history it leads so often. */
  historyAnnouncementMs: 1000,
  /** A leader that heard of another history serves nobody until that has not been heard for so long. */
  otherHistoryMs: 5000,
  /** Groups that a process hosts. */
  hostedGroups: 256,
  /** Commands of a host that wait for the one under way. */
  hostCommands: 64,
  /** Messages of one bundle. */
  bundleMessages: 512,
  /** Keys that are deleted at once where a group's data go. */
  groupDeleteKeys: 1000,

  // Queues.
  /** Messages that wait in an actor's mailbox. */
  mailboxMessages: 16_384,
  /** Bytes that wait in an actor's mailbox. */
  mailboxBytes: 128 * MiB,
  /** Bytes that a process has given to its NATS connection and that the server has not taken. */
  outboundBytes: 64 * MiB,
  /** Requests at a node's door that have not been answered. */
  openRequests: 16_384,
  /** Their bytes, as they came. */
  openRequestBytes: 64 * MiB,
  /** Messages of a link that its receiver has not acknowledged. */
  linkMessages: 1024,
  /** Their bytes. */
  linkBytes: 64 * MiB,
  /** Appends of entries that a log-store has synced and not acknowledged to its own node; a tick tells of them, too. */
  logStoreAcknowledgeEvery: 16,
  /** What a scrub reads at once, and in a second. */
  scrubBytes: 1 * MiB,
  scrubBytesPerSecond: 8 * MiB,
  /** A receiver acknowledges when it has taken so many, however busy it is. */
  linkAcknowledgeEvery: 64,
  /** And when it runs idle with at least so many unacknowledged; fewer wait for the next tick. */
  linkAcknowledgeIdle: 16,
  /** Ticks of another store, with none of the followed one in between, before an actor follows that other one. */
  linkOtherStoreTicks: 20,
  /** Proposals of a node that are not yet appended or not yet committed. */
  pendingProposals: 16_384,
  /** Their bytes. */
  pendingProposalBytes: 64 * MiB,
  /** Reads that wait for their confirmation. */
  pendingReads: 16_384,
  /** Batches that a node keeps in memory until they are applied; the others it reads back. */
  unappliedBytes: 32 * MiB,
  /** Batches that a replicator process keeps per group for followers that are in step. */
  replicatorCacheBytes: 16 * MiB,
  /** Batches that a replicator has sent and that the follower has not acknowledged. */
  replicatorWindowMessages: 64,
  /** Their bytes. */
  replicatorWindowBytes: 8 * MiB,
  /** One answer to a `read` of the log. */
  readBytes: 512 * KiB,
  /** All answers to one `read` of a replicator for a target that is behind. As much again is read before that is sent. */
  replicatorReadBytes: 4 * MiB,
  /** Reads of one group's log that are under way at its log-store. */
  logReads: 64,
  /** Committed configurations that a log-store reports when it is opened, besides the first one. */
  reportedConfigurations: 64,
  /** Runs of terms that it reports then, the newest. */
  reportedTermRuns: 16_384,
  /** What is noted of a write beside LevelDB. */
  durabilityMarkerBytes: 64 * KiB,
  /** Commands that a leader holds back while it hands over. */
  heldCommands: 256,
  /** Changes of the configuration that `status` remembers. */
  rememberedChanges: 16,

  // States.
  /** A leader has the members compare digests of their states so often, in milliseconds, while entries come, */
  compareStatesMs: 1000,
  /** and while none come. */
  compareIdleStatesMs: 30_000,
  /** Repairs of a state that differs from the majority's, before an operator has to see to it. */
  stateRepairs: 4,

  // Snapshots.
  /** A chunk of a snapshot. */
  snapshotChunkBytes: 256 * KiB,
  /** A piece that a state machine gives to a snapshot. */
  snapshotPieceBytes: 16 * MiB,
  /** Chunks that a node has handed to its log-store and that are not synced. */
  snapshotTakingChunks: 4,
  /** Chunks that a node has asked its log-store for to restore its state. */
  snapshotRestoringChunks: 2,
  /** A node that takes a snapshot draws the next chunk of it so many milliseconds after the last one: writes come first. */
  snapshotReadIntervalMs: 4,
  /** A snapshot that is due is put off while one is being sent to a peer: until the log is so many times the due size. */
  snapshotPutOffSizes: 8,
  /** Chunks that a replicator has sent and that the follower has not stored. */
  snapshotWindowChunks: 32,

  // kv.
  keyBytes: 1024,
  valueBytes: 256 * KiB,
  /** Commands in one request, and so in one entry. */
  requestCommands: 4096,
  /** Comparisons of one transaction, and operations of either of its branches. */
  transactionParts: 128,
  /** Leases of a group. */
  leases: 100_000,
  /** Keys tied to one lease. */
  leaseKeys: 4096,
  /** Locks of a group. */
  locks: 100_000,
  /** Who waits for one lock. */
  lockWaiters: 1024,
  /** Locks held or waited for by one lease. */
  leaseLocks: 1024,
  /** What the owner of a lock is called. */
  ownerBytes: 256,
  /** Of who sent an admin command, as an event shows it. */
  callerBytes: 256,
  /** The time of a lease: at least, as a leader looks after them about once a second, and at most. */
  leaseMinMs: 1000,
  leaseMaxMs: 24 * 60 * 60 * 1000,
  /** Sessions of clients; opening one more drops the one idle longest. */
  clientSessions: 10_000,
  /** Results kept for one client above its low-water mark. */
  clientResults: 4096,
  /** How far above its low-water mark a client's numbers may be. */
  clientSequences: 65_536,
  /**
   * Keys and values of one answer; the first is answered in any case, but what transactions read fits in. A session keeps
   * so much of that for repeats, too.
   */
  foundBytes: 512 * KiB,
  /** What all sessions together keep of what transactions have read. */
  keptFoundBytes: 64 * MiB,
  /** Keys or leases in one page of a list. */
  rangeKeys: 4096,

  // Watching.
  /** Watches of a group. */
  watches: 8192,
  /** Of one owner, which is a client; watches whose id names no owner count as one owner's. */
  ownerWatches: 256,
  /** Watches that get a sign of life with one tick; the others with the next. Ten ticks reach all. */
  watchTickSigns: 1024,
  /** Changes in one message of a watch, or in one answer to `changes`. */
  watchChanges: 4096,
  /** Their bytes, about; the first is told in any case. Far below a message, as text may grow in JSON. */
  watchMessageBytes: 96 * KiB,
  /** What a leader publishes for one watch since that was last asked for; more waits until it is asked for again. */
  watchUnreadBytes: 4 * MiB,
  /** Revisions that a leader looks at in one step for all watches that are caught up, and for those that are behind. */
  watchStepRevisions: 16_384,
  /** And what it publishes then. */
  watchStepBytes: 1 * MiB,
  /** Revisions whose changes a state machine of kv remembers. */
  historyRevisions: 32_768,
  /** Keys and values of these. */
  historyBytes: 32 * MiB,

  // Client library.
  /** Calls of one client that have not been answered. */
  clientCalls: 65_536,
  /** Besides, calls of one client that keep or end leases and locks, which wait for no other call. */
  clientUrgentCalls: 65_536,
  /** Of `clientResults`, those that are left to calls that end leases and locks. */
  clientUrgentResults: 64,
  /** Requests of one client under way at once, without those of urgent calls. */
  clientRequests: 8,
  /** Calls are joined into one request up to about so many bytes; a larger call goes alone. */
  clientRequestBytes: 256 * KiB,

  // Observers.
  /** Progress bars and events that a view keeps. */
  observedEvents: 10_000,
} as const;

/** Times that a deployment may set; each can be given to `conclave run`. */
export const defaultTimes = {
  /** A follower that hears nothing of a leader stands after 1 to 1.4 of these. */
  electionTimeoutMs: 1000,
  /** Between two ticks of a node. */
  heartbeatIntervalMs: 100,
  /** A change whose new peers did not catch up by then fails, unless it says otherwise. */
  changeTimeoutMs: 30_000,
  /** A joint stage that is not committed by then cancels itself. */
  jointTimeoutMs: 10_000,
  /** How long a removed peer is still told that it is out. */
  removalNoticeMs: 10_000,
  /** A client's session that did nothing for so long expires. */
  clientSessionMs: 600_000,
  /** A watch that is not asked for again for so long ends. */
  watchRenewMs: 15_000,
  /** A watch with nothing to tell says so as often. */
  watchHeartbeatMs: 1000,
} as const;

/** For how long all peers must have spoken a feature level before a leader raises the group's to it by itself. */
export const defaultLevelSettleMs = 600_000;

/** How fast a process sends snapshots to other peers, all of its groups together. */
export const defaultSnapshotBytesPerSecond = 256 * MiB;

/** With less room than this on its disk a peer takes no entries. */
export const defaultDiskReserveBytes = 256 * MiB;

/** How often a log-store reads and checks all that it stores, in hours. */
export const defaultScrubIntervalHours = 24;

/** A member that lacks no more entries than this counts as up to date in `status`. What a change waits for is measured in time. */
export const catchupMargin = 1000;

/** When a peer takes snapshots; each can be given to `conclave run`. */
export const defaultSnapshots = {
  /** A snapshot is taken when so many bytes of entries have been applied since the last one. */
  snapshotLogBytes: 256 * MiB,
  /** And after this time, where anything has been applied. */
  snapshotIntervalMs: 60 * 60 * 1000,
  /** Entries before a snapshot that the log keeps for followers that are a little behind; at most a quarter of `snapshotLogBytes`. */
  snapshotMarginEntries: 10_000,
} as const;
