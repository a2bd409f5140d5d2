/** What of events and messages is counted as reached. */
import type { ConclaveEvent, Message } from '@conclave/protocol';
import type { Coverage } from './coverage.js';

export function countEvent(coverage: Coverage, { name, detail }: ConclaveEvent): void {
  coverage.count(`event ${name}`);
  switch (name) {
    case 'stage_changed':
      coverage.count(`stage ${detail.stage}`);
      if (detail.kind === 'heal') coverage.count(`stage ${detail.stage} of a heal`);
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
  if (name !== 'node.opened' || (body.installing?.stored ?? 0) === 0) return;
  coverage.count('snapshot goes on from its last chunk after a restart');
}
