/**
 * Every bound of Conclave, in one place. Sizes are bytes of the encoded form, times are milliseconds, counts are counts. What exceeds a
 * bound is refused with an error, or dropped and counted; no queue, batch, window or payload grows without a bound.
 *
 * The sizes depend on each other: a batch fits an `append`, an `append` with its metadata fits NATS's default
 * `max_payload` (1 MiB).
 */
const KiB = 1024;
const MiB = 1024 * KiB;

export const limits = {
  // Names.
  /** A group's or peer's name. */
  nameBytes: 64,
  /** An id that Conclave generates; some contain a name. */
  idBytes: 128,

  // Payloads.
  /** A message on NATS. A server that allows less is refused at the start. */
  messageBytes: 1 * MiB,
  /** The headers of a request: they are not read if they are larger. */
  requestHeaderBytes: 16 * KiB,
  /** The payload of one entry, which is one request of a client. */
  entryBytes: 512 * KiB,
  /** A batch is closed at this size. */
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
  /** How many times a group may be reset, so that its terms stay whole numbers. */
  epochs: 4000,
  /** Stores whose acknowledgements a ballot-box keeps in a term; some are in no configuration yet. */
  acknowledgedStores: 128,
  /** Hosts of a group that are not listed and are asked for their data before the group is created. */
  foundingHosts: 256,
  /** Replies to one request of service discovery; with more, not all can be known. */
  discoveryReplies: 32_768,
  /** Peers whose lists of groups are kept while groups are created; with more, not all can be known. */
  discoveryPeers: 4096,
  /** Other histories of its group that a leader remembers. */
  otherHistories: 8,
  /** The interval at which a leader announces its history. */
  historyAnnouncementMs: 1000,
  /** A leader that received the announcement of another history serves no requests until that one has been silent for this long. */
  otherHistoryMs: 5000,
  /** Groups that a process hosts. */
  hostedGroups: 256,
  /** Open commands of a host that create or delete groups: the running one, those that wait for it, and those whose replies wait. */
  hostCommands: 64,
  /** Traces of requests that a message carries. */
  messageTraces: 16,
  /** The time of a profile, its bytes, and those of a chunk of it. */
  profileSeconds: 60,
  profileBytes: 64 * MiB,
  profileChunkBytes: 256 * 1024,
  /** Messages of one bundle. */
  bundleMessages: 512,
  /** Keys that are deleted at once when a group's data are deleted. */
  groupDeleteKeys: 1000,

  // Queues.
  /** Messages that wait in an actor's mailbox. */
  mailboxMessages: 16_384,
  /** Bytes that wait in an actor's mailbox. */
  mailboxBytes: 128 * MiB,
  /** Bytes that a process has given to its NATS connection and that the server has not read. */
  outboundBytes: 64 * MiB,
  /** Operations of an API whose requests are measured each; all others are measured together. */
  measuredOperations: 64,
  /** Open requests of a node. */
  openRequests: 16_384,
  /** Their bytes, as received. */
  openRequestBytes: 64 * MiB,
  /** How long a request waits for its turn before it is refused, in milliseconds: its client will not wait much longer. */
  requestTurnMs: 5000,
  /** Messages of a link that its receiver has not acknowledged. */
  linkMessages: 1024,
  /** Their bytes. */
  linkBytes: 64 * MiB,
  /** Synced appends of entries that a log-store has not acknowledged to its own node; a tick acknowledges them, too. */
  logStoreAcknowledgeEvery: 16,
  /** What a scrub reads at once, and in a second. */
  scrubBytes: 1 * MiB,
  scrubBytesPerSecond: 8 * MiB,
  /** A receiver acknowledges after this many accepted messages, however busy it is. */
  linkAcknowledgeEvery: 64,
  /** And when it becomes idle with at least this many; fewer wait for the next tick. */
  linkAcknowledgeIdle: 16,
  /** Ticks of another store, with none of the followed one in between, before an actor follows the other one. */
  linkOtherStoreTicks: 20,
  /** Proposals of a node that wait to be appended, or whose entries are not applied yet. */
  pendingProposals: 16_384,
  /** Their bytes. */
  pendingProposalBytes: 64 * MiB,
  /** Reads that wait for their confirmation. */
  pendingReads: 16_384,
  /** Batches that a node keeps in memory until they are applied; it reads the others back. */
  unappliedBytes: 32 * MiB,
  /** Batches that a leader's replicator keeps for all targets of a group; it reads other entries from the log-store. */
  replicatorCacheBytes: 16 * MiB,
  /** Batches that a replicator has sent and that the follower has not acknowledged. */
  replicatorWindowMessages: 64,
  /** Their bytes. */
  replicatorWindowBytes: 8 * MiB,
  /** One reply to a `read` of the log. */
  readBytes: 512 * KiB,
  /** All replies to one `read` of a replicator for a target that is behind. As much again is read before that is sent. */
  replicatorReadBytes: 4 * MiB,
  /** Reads of one group's log in progress at its log-store. */
  logReads: 64,
  /** Committed configurations that a log-store reports when it is opened, besides the first one. */
  reportedConfigurations: 64,
  /** Runs of terms that it reports then, the newest. */
  reportedTermRuns: 16_384,
  /** A slot of the side file: the record of one write. */
  sideFileSlotBytes: 64 * KiB,
  /** Commands that a leader holds back during a leadership transfer. */
  heldCommands: 256,
  /** Membership changes that `status` remembers. */
  rememberedChanges: 16,

  // States.
  /** The interval at which a leader has the members compare digests of their states, while entries are appended, */
  compareStatesMs: 1000,
  /** and while there are none. */
  compareIdleStatesMs: 30_000,
  /** Repairs of a state that differs from the majority's, before an operator is needed. */
  stateRepairs: 4,

  // Snapshots.
  /** A chunk of a snapshot. */
  snapshotChunkBytes: 256 * KiB,
  /** A piece that a state machine gives to a snapshot. */
  snapshotPieceBytes: 16 * MiB,
  /** Chunks that a node has given to its log-store and that are not synced. */
  snapshotTakingChunks: 4,
  /** Chunks that a node has requested from its log-store to restore its state. */
  snapshotRestoringChunks: 2,
  /** Pause of a node between two chunks of a snapshot that it takes: writes have priority. */
  snapshotReadIntervalMs: 4,
  /** A due snapshot of a leader is delayed while it sends one to a peer: until the log has this many times the due size. */
  snapshotDelaySizes: 8,
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
  /** Waiters of one lock. */
  lockWaiters: 1024,
  /** Locks held or waited for by one lease. */
  leaseLocks: 1024,
  /** The name of a lock's owner. */
  ownerBytes: 256,
  /** The sender of an admin command, in an event. */
  callerBytes: 256,
  /** The time of a lease: at least, as a leader checks them about once a second, and at most. */
  leaseMinMs: 1000,
  leaseMaxMs: 24 * 60 * 60 * 1000,
  /** Sessions of clients; opening one more drops the one that is idle longest. */
  clientSessions: 10_000,
  /** Results kept for one client above its low-water mark. */
  clientResults: 4096,
  /** How far above its low-water mark a client's numbers may be. */
  clientSequences: 65_536,
  /**
   * Keys and values of one reply; the first one is always included, but what transactions read must fit. A session keeps this much of
   * that for repeats, too.
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
  /** Watches that get a heartbeat with one tick; the others with the next ticks. Eight ticks reach all `watches`. */
  watchTickSigns: 1024,
  /** Changes in one message of a watch, or in one reply to `changes`. */
  watchChanges: 4096,
  /** Their approximate bytes; the first one is always included. Far below a message, as text may grow in JSON. */
  watchMessageBytes: 96 * KiB,
  /** What a leader publishes for one watch after a renewal; more waits for the next one. */
  watchUnreadBytes: 4 * MiB,
  /** Revisions that a leader looks at in one step for all watches that are caught up, and for those that are behind. */
  watchStepRevisions: 16_384,
  /** And what it publishes then. */
  watchStepBytes: 1 * MiB,
  /** Revisions whose changes a state machine of kv keeps. */
  historyRevisions: 32_768,
  /** Bytes of the log entries that wrote them. */
  historyBytes: 32 * MiB,

  // Client library.
  /** Open calls of one client. */
  clientCalls: 65_536,
  /** In addition, open calls of one client that keep or end leases and locks, which wait for no other call. */
  clientUrgentCalls: 65_536,
  /** Of `clientResults`, those that are reserved for calls that end leases and locks. */
  clientUrgentResults: 64,
  /** Requests of one client in flight, without those of urgent calls. */
  clientRequests: 8,
  /** Calls are joined into one request of about this size; a larger call is sent alone. */
  clientRequestBytes: 256 * KiB,

  // Observers.
  /** Progress bars and events that a view keeps. */
  observedEvents: 10_000,

  // Recordings and the page.
  /** A text in a record. */
  recordTextLength: 500,
  /** Fields of a message in a record; of a list, the items. */
  recordFields: 32,
  /** Records of a recording. */
  recordedRecords: 400_000,
  /** A recording, compressed. */
  recordingBytes: 256 * MiB,
  /** The text of a recording that is read. */
  recordedTextBytes: 1024 * MiB,
  /** Browsers that show a page at once. */
  viewBrowsers: 32,
  /** Records that wait for a browser. */
  viewBrowserRecords: 5000,
  /** A request of a page. */
  viewRequestBytes: 64 * KiB,
  /** Admin commands of a page that wait for their confirmation. */
  viewActions: 32,
  /** Messages per second that a page shows; with more, it shows a sample. */
  viewMessageRate: 300,
} as const;

/** What the model of the page keeps: a constant of its own, as the page that browsers load contains no others. */
export const viewLimits = {
  /** The time of which the page keeps events and charts. */
  ageMs: 60 * 60 * 1000,
  /** Points of a chart of the page. */
  points: 3600,
  /** Entries of the page's timeline. */
  timeline: 2000,
  /** Arrows of the page's sequence diagram. */
  messages: 2000,
  /** Peers that the page shows. */
  peers: 64,
  /** Membership changes, and elections, that the page keeps. */
  changes: 20,
  /** Topics of notes that the page keeps. */
  notes: 32,
} as const;

/** Times that a deployment may set; each is an option of `conclave run`. */
export const defaultTimes = {
  /** A follower that receives nothing from a leader campaigns after 1 to 1.4 of these. */
  electionTimeoutMs: 1000,
  /** Between two ticks of a node. */
  heartbeatIntervalMs: 100,
  /** A change fails if its new peers have not caught up by then, unless the command has its own time. */
  changeTimeoutMs: 30_000,
  /** A joint stage that is not committed by then is rolled back. */
  jointTimeoutMs: 10_000,
  /** How long a removed peer is notified of its removal. */
  removalNoticeMs: 10_000,
  /** Idle time after which a client's session expires. */
  clientSessionMs: 600_000,
  /** A watch that is not renewed for this long ends. */
  watchRenewMs: 15_000,
  /** The interval of the heartbeats of a watch without changes. */
  watchHeartbeatMs: 1000,
} as const;

/** How long all peers must support a feature level before a leader raises the group's to it automatically. */
export const defaultLevelSettleMs = 600_000;

/** How fast a process sends snapshots to other peers, all of its groups together. */
export const defaultSnapshotBytesPerSecond = 256 * MiB;

/** With less free disk space than this a peer is read-only. */
export const defaultDiskReserveBytes = 256 * MiB;

/** The interval at which a log-store reads and checks all that it stores, in hours. */
export const defaultScrubIntervalHours = 24;

/** A member that lacks at most this many entries counts as up to date in `status`. A change waits for a time instead. */
export const catchupMargin = 1000;

/** When a peer takes snapshots; each is an option of `conclave run`. */
export const defaultSnapshots = {
  /** A snapshot is taken when this many bytes of entries have been applied since the last one. */
  snapshotLogBytes: 256 * MiB,
  /** And after this time, if anything has been applied. */
  snapshotIntervalMs: 60 * 60 * 1000,
  /** Entries before a snapshot that the log keeps for followers that lag a little; at most a quarter of `snapshotLogBytes`. */
  snapshotMarginEntries: 10_000,
} as const;
