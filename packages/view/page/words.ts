/** The words and classes of messages, roles and stages on this page. */

/** The groups of messages, each with a colour of its own and a sentence. */
export const messageGroups = {
  replication: 'entries, and acknowledgements that they are stored',
  election: 'votes, and who leads',
  membership: 'identities of peers, and the peers to which the leader replicates',
  snapshot: 'chunks of snapshots',
  request: 'requests of clients and operators',
  heartbeat: 'ticks, echoes and progress reports',
} as const;
export type MessageGroup = keyof typeof messageGroups;

const groupOfWord: Readonly<Record<string, MessageGroup>> = {
  append: 'replication',
  append_entries: 'replication',
  stored: 'replication',
  register: 'replication',
  committed: 'replication',
  rejected: 'replication',
  read: 'replication',
  entries: 'replication',
  request_vote: 'election',
  vote_response: 'election',
  vote: 'election',
  elect: 'election',
  elected: 'election',
  lead: 'election',
  stop: 'election',
  transfer: 'election',
  timeout_now: 'election',
  higher_term: 'election',
  identify: 'membership',
  identity: 'membership',
  targets: 'membership',
  change_announced: 'membership',
  snapshot_chunk: 'snapshot',
  snapshot_end: 'snapshot',
  read_snapshot: 'snapshot',
  install_snapshot: 'snapshot',
  snapshot_stored: 'snapshot',
};

export function groupOf(name: string): MessageGroup {
  if (/^(kv|admin)\./.test(name)) return 'request';
  return groupOfWord[name.slice(name.indexOf('.') + 1)] ?? 'heartbeat';
}

export const roleNames: Readonly<Record<string, string>> = {
  '': 'unknown',
  pre_candidate: 'pre-candidate',
};

export function roleName(role: string): string {
  return roleNames[role] ?? role;
}

export const conditionNames = {
  up: 'running',
  down: 'down',
  paused: 'paused',
  cut_off: 'cut off',
  slow: 'slow',
} as const;

export const stages = ['catching_up', 'joint', 'stable'] as const;
export const stageTexts: Readonly<Record<string, { name: string; help: string }>> = {
  catching_up: { name: 'Catching up', help: 'New peers receive the log. They count in no majority yet.' },
  joint: { name: 'Joint', help: 'Each entry needs a majority of the old members and one of the new members.' },
  stable: { name: 'Stable', help: 'The new configuration alone is in effect.' },
};

export const membershipTexts = {
  member: 'member',
  joining: 'joining',
  leaving: 'leaving',
  outside: 'not a member',
} as const;
