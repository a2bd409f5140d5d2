/** The statuses of the peers for a recording: each when it has changed, and once a second. */
import type { PeerId, StatusReply } from '@conclave/protocol';
import type { CoreMesh } from '../mesh/core-mesh.js';

/** A status without other changes is recorded again after this time, because the times in it have grown (such as `silent_ms`). */
const repeatMs = 1000;

interface Last {
  readonly atMs: number;
  readonly key: string;
}

export class PeerStatuses {
  private readonly last = new Map<PeerId, Last>();

  constructor(
    private readonly mesh: CoreMesh,
    /** The shortest time between two statuses of one peer. */
    private readonly everyMs: number,
  ) {}

  /** Whether a status of this peer may be recorded now. */
  isDue(peerId: PeerId): boolean {
    const last = this.last.get(peerId);
    return last === undefined || this.mesh.nowMs >= last.atMs + this.everyMs;
  }

  /** Returns the status of a peer to record; undefined: it has none, or its last one is less than a second old and unchanged. */
  next(peerId: PeerId): StatusReply | undefined {
    const { mesh } = this;
    const node = mesh.nodeActor(peerId);
    if (!node.isUp || node.waiting !== undefined) return undefined;
    const status = mesh.statusOf(node);
    const key = keyOf(status);
    const last = this.last.get(peerId);
    if (last?.key === key && mesh.nowMs < last.atMs + repeatMs) return undefined;
    this.last.set(peerId, { atMs: mesh.nowMs, key });
    return status;
  }
}

/** The fields of a status that do not change with time alone. */
function keyOf(status: StatusReply): string {
  const { role, term, leader_id, configuration_index, stage, first_index, last_index, commit_index } = status;
  const { applied_index, lacking, progress, changes, health, read_only, restart, installing } = status;
  const targets = progress.map(({ peer_id, state, match_index, caught_up }) => [
    peer_id,
    state,
    match_index,
    caught_up,
  ]);
  return JSON.stringify([
    [role, term, leader_id, configuration_index, stage, first_index, last_index, commit_index, applied_index],
    [lacking, targets, changes.at(-1), health.healthy, read_only, restart, installing],
  ]);
}
