/**
 * Makes records of a run, in the format of recordings: messages, events, faults, and the status of each peer.
 *
 * Owns: what was recorded last of each peer, so that only changes are recorded. The run does not depend on it.
 */
import type { RequestTarget } from '@conclave/client';
import {
  batchHeader,
  type ConclaveEvent,
  type EventBody,
  limits,
  type Message,
  type PeerId,
  type Recipient,
} from '@conclave/protocol';
import {
  eventRecord,
  type MessageRecord,
  messageFields,
  messageRecord,
  type Place,
  type ViewRecord,
} from '@conclave/view/records';
import { summaryOf } from '../invariants/record/nodes.js';
import type { Command } from '../language/command.js';
import { formatCommand } from '../language/format-command.js';
import type { Actor } from '../mesh/actor.js';
import { type CoreMesh, groupId } from '../mesh/core-mesh.js';
import type { LeaderAnnouncement, MeshWatcher } from '../mesh/mesh-watcher.js';
import type { Endpoint } from '../mesh/virtual-network.js';
import { runBeginsMs } from '../mesh/virtual-time.js';
import type { Violation } from '../run/run-seed.js';
import type { Simulation } from '../run/simulation.js';
import { Conditions } from './conditions.js';
import { PeerStatuses } from './peer-statuses.js';

export interface RecorderOptions {
  readonly onRecord: (record: ViewRecord) => void;
  /** The time of the run's beginning in the recording: later than all that is in it. */
  readonly beginsMs?: number | undefined;
  /** A status of a peer is at least this much later than the one before, even if it changes. */
  readonly statusEveryMs?: number | undefined;
  readonly onDelivered?: MeshWatcher['onDelivered'] | undefined;
  /** Whether a scenario holds back or drops such a message. */
  readonly isHeld?: ((from: Actor, to: Actor, message: Message | LeaderAnnouncement) => boolean) | undefined;
}

/** Virtual time is short: a rate is recorded after a tenth of a second. */
const rateMs = 100;

export class RunRecorder implements MeshWatcher {
  private readonly beginsMs: number;
  private readonly conditions: Conditions;
  private readonly statuses: PeerStatuses;
  /** Messages since the last rate. */
  private sent = 0;
  private ratesMs: number;

  /** Records the present state of the mesh, and what happens in it from now on. */
  constructor(
    private readonly mesh: CoreMesh,
    private readonly options: RecorderOptions,
  ) {
    this.beginsMs = options.beginsMs ?? 0;
    this.conditions = new Conditions(mesh);
    this.statuses = new PeerStatuses(mesh, options.statusEveryMs ?? 0);
    this.ratesMs = mesh.nowMs;
    mesh.watcher = this;
    for (const peerId of mesh.peers) this.recordStatus(peerId);
    this.recordConditions();
  }

  /** The time of the run in the recording. */
  get nowMs(): number {
    return this.beginsMs + this.mesh.nowMs;
  }

  /** Records faults of the present moment: they wait for what else happens at the same time. */
  flush(): void {
    this.recordConditions();
  }

  note(text: string, level: 'info' | 'warning' | 'error' = 'info', topic?: string): void {
    const short = text.length > limits.recordTextLength ? `${text.slice(0, limits.recordTextLength - 1)}…` : text;
    this.record({ at: this.nowMs, kind: 'note', level, text: short, ...(topic === undefined ? {} : { topic }) });
  }

  /** Records which invariant the run has broken: the last record. */
  failed({ invariant, seen }: Pick<Violation, 'invariant' | 'seen'>): void {
    this.recordConditions();
    this.note(`${invariant} is broken: ${seen}`, 'error', 'violation');
  }

  // ---- what happens in the mesh ------------------------------------------------------------------

  onMessage(from: Actor, to: string, message: Message | LeaderAnnouncement, arrivesMs: number | undefined): void {
    const target = this.mesh.named(to);
    if (target === undefined) return;
    const isLost = arrivesMs === undefined || !this.mesh.network.isOpen(from, to);
    const isHeld = !isLost && this.options.isHeld?.(from, target, message) === true;
    this.record({
      ...this.recordOf(message, target.peerId),
      from: placeOf(from),
      to: placeOf(target),
      ...(isLost || isHeld ? { lost: true } : { arrives_at: this.beginsMs + arrivesMs }),
    });
  }

  onDelivered(from: Actor, to: Actor, message: Message | LeaderAnnouncement): void {
    this.options.onDelivered?.(from, to, message);
  }

  /** A scenario delivers a message that it has held back. */
  onReleased(from: Actor, to: Actor, message: Message | LeaderAnnouncement): void {
    const record = this.recordOf(message, to.peerId);
    this.record({ ...record, from: placeOf(from), to: placeOf(to), arrives_at: this.nowMs });
  }

  onRequest(from: Endpoint, to: Actor, target: RequestTarget, body: unknown, arrivesMs: number | undefined): void {
    const name = `${target.api}.${target.name}`;
    this.recordRequest(name, callerOf(from, target), placeOf(to), body, this.arrival(from, to.name, arrivesMs));
  }

  onReply(from: Actor, to: Endpoint, target: RequestTarget, body: unknown, arrivesMs: number | undefined): void {
    const name = `${target.api}.${target.name}.reply`;
    this.recordRequest(name, placeOf(from), callerOf(to, target), body, this.arrival(from, to.name, arrivesMs));
  }

  onEvent(actor: Actor, { name, detail }: ConclaveEvent): void {
    this.recordConditions();
    const time = new Date(runBeginsMs + this.mesh.nowMs).toISOString();
    const body = { group_id: groupId, peer_id: actor.peerId, term: summaryOf(actor).term, time, ...detail };
    this.record(eventRecord(this.nowMs, name, body as EventBody<typeof name>));
  }

  onStepped({ kind, peerId }: Actor): void {
    if (this.mesh.nowMs >= this.ratesMs + rateMs) this.recordRate();
    if (this.conditions.isDue) this.recordConditions();
    if (kind === 'node' && this.statuses.isDue(peerId)) this.recordStatus(peerId);
  }

  onProcess(): void {
    this.conditions.onProcess();
  }

  // ---- records -----------------------------------------------------------------------------------

  private recordOf(message: Message | LeaderAnnouncement, peerId: PeerId): MessageRecord {
    if (message.name === 'led_history') {
      const nobody = { peer: '', actor: 'node' } as const;
      const fields = messageFields(message.body);
      return { at: this.nowMs, kind: 'message', name: 'led_history', from: nobody, to: nobody, fields, bytes: 0 };
    }
    const recipient = message.name.slice(0, message.name.indexOf('.')) as Recipient;
    const record = messageRecord(this.nowMs, { peerId, recipient, message });
    return { ...record, fields: { ...record.fields, ...entriesOf(message) } };
  }

  private recordRequest(name: string, from: Place, to: Place, body: unknown, arrival: object): void {
    const fields = messageFields(typeof body === 'object' && body !== null ? body : {});
    this.record({ at: this.nowMs, kind: 'message', name, from, to, fields, bytes: 0, ...arrival });
  }

  private arrival(from: Endpoint, to: string, arrivesMs: number | undefined): object {
    const isLost = arrivesMs === undefined || !this.mesh.network.isOpen(from, to);
    return isLost ? { lost: true } : { arrives_at: this.beginsMs + arrivesMs };
  }

  private recordStatus(peerId: PeerId): void {
    const status = this.statuses.next(peerId);
    if (status !== undefined) this.record({ at: this.nowMs, kind: 'status', peer: peerId, status });
  }

  /** How many messages were sent in a second, by those of a tenth of one. */
  private recordRate(): void {
    const sent = Math.round((this.sent * 1000) / (this.mesh.nowMs - this.ratesMs));
    this.record({ at: this.nowMs, kind: 'rate', sent, shown: sent });
    this.sent = 0;
    this.ratesMs = this.mesh.nowMs;
  }

  private recordConditions(): void {
    for (const change of this.conditions.changes()) this.record({ at: this.nowMs, kind: 'fault', ...change });
  }

  private record(record: ViewRecord): void {
    if (record.kind === 'message') this.sent += 1;
    this.options.onRecord(record);
  }
}

/** A second node of a peer is drawn in the place of the first one. */
function placeOf({ peerId, kind }: Actor): Place {
  return { peer: peerId, actor: kind };
}

function callerOf({ owner, name }: Endpoint, { api }: RequestTarget): Place {
  if (name.includes('.')) return { peer: owner, actor: 'node' };
  return { peer: '', actor: api === 'admin' ? 'operator' : 'client' };
}

/** How many entries a message carries, and which ones: of its batches only the bytes are fields. */
function entriesOf({ body }: Message): { readonly entries?: string } {
  if (!('batches' in body) || !Array.isArray(body.batches) || body.batches.length === 0) return {};
  const headers = (body.batches as Uint8Array[]).map((batch) => batchHeader(batch));
  return { entries: `${headers[0]?.first}..${headers.at(-1)?.last}` };
}

/** Commands that are visible by what follows: as faults, as requests, or as time that passes. */
const visibleCommands: readonly Command['type'][] = [
  'run',
  'crash',
  'start',
  'pause',
  'resume',
  'cut',
  'reconnect',
  'slow',
  'client',
];

/** Records the commands of a run, as sentences of its script. */
export function recordCommands(simulation: Simulation, recorder: RunRecorder): void {
  simulation.onCommand = (command) => {
    if (!visibleCommands.includes(command.type)) recorder.note(`script: ${formatCommand(command)}`);
  };
}
