/** What a scenario can print: status, logs, progress, changes and values of peers, one line each. */
import { actorKinds, type Change, decodeConfiguration, type PeerId, type StatusReply } from '@conclave/protocol';
import type { LogCommand, LookCommand } from '../language/scenario-command.js';
import type { CoreMesh } from '../mesh/core-mesh.js';
import { configurationText, inHistory, statusText, textOf } from './format.js';

export class Inspector {
  constructor(private readonly mesh: CoreMesh) {}

  lines({ type, peers }: LookCommand): string[] {
    const whose = peers.length === 0 ? this.mesh.peers : (peers as readonly PeerId[]);
    switch (type) {
      case 'status':
        return whose.map((peer) => `${peer}: ${this.status(peer)}`);
      case 'progress':
        return whose.flatMap((peer) => this.progress(peer));
      case 'changes':
        return whose.flatMap((peer) => this.changes(peer));
      case 'dropped':
        return whose.map((peer) => `${peer}: ${this.dropped(peer)}`);
    }
  }

  /** Returns a row for each disk, under a row of indexes. */
  log({ peers, from }: LogCommand): string[] {
    const whose = peers.length === 0 ? this.mesh.peers : (peers as readonly PeerId[]);
    const rows = whose.map((peer) => this.entries(peer, from));
    const max = Math.max(1, ...rows.map((row) => row.length));
    const indexes = Array.from({ length: max }, (_, at) => `${from + at}`);
    return aligned([['', ...indexes], ...whose.map((peer, at) => [peer, ...(rows[at] as string[])])]);
  }

  value(key: string, peers: readonly string[]): string[] {
    const whose = peers.length === 0 ? this.mesh.peers : (peers as readonly PeerId[]);
    return whose.map((peer) => {
      const [[value, revision]] = this.mesh.query(peer, [key]) as [[unknown, number]];
      return `${peer}: ${key} ${revision === 0 ? 'is not found' : `is ${value}, revision ${inHistory(revision)}`}`;
    });
  }

  /** A peer may have two nodes: the one with the log-store's session is first. */
  private status(peer: PeerId): string {
    const { mesh } = this;
    const nodes = mesh.nodesOf(peer);
    const down = actorKinds.filter((kind) => !mesh.isUp(peer, kind) && (kind !== 'node' || nodes.length === 0));
    if (nodes.length === 0) return down.length === actorKinds.length ? 'down' : `${down.join(' and ')} down`;
    const first = mesh.nodeActor(peer);
    const ofNodes = [first, ...nodes.filter((node) => node !== first)].map((node) => statusText(mesh.statusOf(node)));
    const status = ofNodes.join('; another node: ');
    return down.length === 0 ? status : `${status}, ${down.join(' and ')} down`;
  }

  private entries(peer: PeerId, from: number): string[] {
    const entries = this.mesh.disks.entries(peer).filter(({ index }) => index >= from);
    const known = entries.map(({ term, kind, payload }) =>
      kind === 'configuration' ? `${term}:${textOf(decodeConfiguration(payload))}` : `${term}`,
    );
    // A snapshot covers what was compacted.
    const gone = (entries[0]?.index ?? this.mesh.disks.lastIndex(peer) + 1) - from;
    return [...Array.from({ length: Math.max(gone, 0) }, () => '-'), ...known];
  }

  private progress(peer: PeerId): string[] {
    return this.statusOf(peer).progress.map(({ peer_id, state, match_index, silent_ms, caught_up, refusal }) => {
      const reach = silent_ms < 0 ? ['never reachable'] : [];
      const parts = [state, `match ${match_index}`, ...reach, ...(caught_up ? ['caught up'] : []), refusal];
      return `${peer} to ${peer_id}: ${parts.filter((part) => part !== '').join(', ')}`;
    });
  }

  private changes(peer: PeerId): string[] {
    const { changes } = this.statusOf(peer);
    return changes.length === 0 ? [`${peer}: no changes`] : changes.map((change) => `${peer}: ${changeText(change)}`);
  }

  /** Returns the drop counters of a peer, or of one of its actors. */
  private dropped(name: string): string {
    const [peer = '', word] = name.split('.');
    const counts = actorKinds
      .filter((kind) => word === undefined || kind === word)
      .flatMap((kind) => {
        const core = this.mesh.actor(peer as PeerId, kind)?.core as { dropped?: Readonly<Record<string, number>> };
        return Object.entries(core?.dropped ?? {}).map(([reason, count]) => `${reason} ${count}`);
      });
    return counts.sort().join(', ') || 'nothing';
  }

  private statusOf(peer: PeerId): StatusReply {
    return this.mesh.status(peer);
  }
}

function changeText({ kind, old_peers, new_peers, state, stage, index, error }: Change): string {
  const where = index === 0 ? stage : `${stage}, entry ${index}`;
  const why = error === undefined ? '' : `: ${error.code} ${error.message}`;
  const what = kind === 'change' ? '' : `${kind} `;
  return `${what}${configurationText(new_peers, old_peers)} ${state} (${where})${why}`;
}

/** Aligns rows in columns, so that logs can be compared by eye. */
function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = [];
  for (const row of rows) for (const [at, cell] of row.entries()) widths[at] = Math.max(widths[at] ?? 0, cell.length);
  return rows.map((row) =>
    row
      .map((cell, at) => cell.padEnd(widths[at] ?? 0))
      .join(' ')
      .trimEnd(),
  );
}
