/** What a run has reached, and how often. `run/expected-coverage.ts` lists what is expected. */
import type { ConclaveEvent, Message } from '@conclave/protocol';

/** Counts what really happened in a run: a lost message, a stage of a change, an outcome of a call. */
export class Coverage {
  private readonly counts = new Map<string, number>();

  count(what: string, times = 1): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + times);
  }

  get(what: string): number {
    return this.counts.get(what) ?? 0;
  }

  add(other: Readonly<Record<string, number>>): void {
    for (const [what, times] of Object.entries(other)) this.count(what, times);
  }

  toJSON(): Record<string, number> {
    return Object.fromEntries([...this.counts].sort(([one], [other]) => (one < other ? -1 : 1)));
  }
}

export function countEvent(coverage: Coverage, { name, detail }: ConclaveEvent): void {
  coverage.count(`event ${name}`);
  switch (name) {
    case 'stage_changed':
      coverage.count(`stage ${detail.stage}`);
      if (detail.kind === 'heal') coverage.count(`stage ${detail.stage} of a replacement`);
      return;
    case 'snapshot_taken':
      if (detail.chunks > 1) coverage.count('snapshot taken in several chunks');
      if (detail.compacted_to > 0) coverage.count('log compacted');
      return;
    case 'snapshot_installed':
      if (detail.chunks > 1) coverage.count('snapshot installed in several chunks');
      return;
    case 'read_only_changed':
      if (detail.reason !== '') coverage.count(`read-only: ${detail.reason}`);
      return;
    default:
  }
}

export function countMessage(coverage: Coverage, { name, body }: Message): void {
  if (name === 'replicator.rejected' && body.reason === 'busy')
    coverage.count('append while a snapshot replaces the log');
  if (name === 'node.progress' && body.targets.some(({ wants_throttle }) => wants_throttle === true))
    coverage.count('new peer asks for slower writers');
  if (name !== 'node.opened' || (body.installing?.stored ?? 0) === 0) return;
  coverage.count('snapshot transfer resumed after a restart');
}

/** Reasons for which a node rarely drops a message. */
const rareDrops = [
  'timeout_now_stale',
  'feed_append_without_previous',
  'feed_append_busy',
  'echo_of_unconfirmed_session',
];

/** Counts what a core has dropped, before it is replaced. */
export function countDrops(coverage: Coverage, core: object): void {
  const { dropped = {} } = core as { readonly dropped?: Readonly<Record<string, number>> };
  for (const reason of rareDrops) if ((dropped[reason] ?? 0) > 0) coverage.count(`dropped: ${reason}`, dropped[reason]);
}
