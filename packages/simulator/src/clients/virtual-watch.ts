/**
 * A watch of keys in a run: the real `WatchReader` of `@conclave/client`, on the run's network and in its time. This
 * class replaces the shell around it (`key-watch.ts`): it subscribes, and subscribes again after a gap or a silence.
 */
import { WatchReader } from '@conclave/client';
import { decode, encode, type KeyChange, type KvReply, limits, type WatchMessage } from '@conclave/protocol';
import type { Actor } from '../mesh/actor.js';
import type { CoreMesh } from '../mesh/core-mesh.js';
import { VirtualClient } from './virtual-client.js';

/** What a watch received, without a gap. */
export interface Watched {
  readonly prefix: string;
  /** The history in which it began; undefined: it has not begun, or at feature level 0. */
  groupUid?: string | undefined;
  /** It received all changes after this revision; undefined: it has not begun. */
  after: number | undefined;
  /** And up to this one. */
  upTo: number;
  readonly changes: KeyChange[];
}

const silenceMs = 3000;
const renewMs = 5000;
const roundMs = 500;
const looksBetweenShortWatches = 4;
/** In some runs a client requests more watches at once than one client may have. */
const manyChance = 0.25;
const floodSize = limits.ownerWatches + 20;

export class VirtualWatch {
  private readonly client: VirtualClient;
  private reader = new WatchReader(1);
  private watched: Watched;
  private readonly watchId: string;
  private rounds = 0;
  private shortWatches = 0;
  /** The round in which it requests too many watches; 0: none. */
  private readonly floodRound: number;
  private isAsking = false;
  private isOver = false;
  private heardMs: number;
  private askedMs: number;

  /** @param begin creates the record of what it receives from now on */
  constructor(
    private readonly mesh: CoreMesh,
    private readonly name: string,
    private readonly prefix: string,
    private readonly begin: (watched: Watched) => void,
  ) {
    this.client = new VirtualClient(mesh, name, mesh.random.stream(name));
    const chance = mesh.random.stream(`${name}.many`);
    this.floodRound = chance.chance(manyChance) ? 5 + chance.below(15) : 0;
    this.watchId = `${name}.watch`;
    this.watched = this.newRecord(0);
    this.heardMs = mesh.nowMs;
    this.askedMs = mesh.nowMs;
    this.ask();
    this.scheduleRound();
  }

  /** Receives what a leader publishes for it. */
  publish(from: Actor, watchId: string, message: WatchMessage): void {
    // Messages of its short watches are ignored.
    if (watchId !== this.watchId) return;
    const bytes = encode(message);
    this.mesh.network.send<VirtualClient>(from, this.name, () => this.onMessage(decode(bytes)));
  }

  close(): void {
    this.isOver = true;
    this.client.close();
  }

  private newRecord(after: number | undefined): Watched {
    const watched = { prefix: this.prefix, after, upTo: after ?? 0, changes: [] };
    this.begin(watched);
    return watched;
  }

  private onMessage(body: unknown): void {
    if (this.isOver) return;
    this.heardMs = this.mesh.nowMs;
    const received = this.reader.onMessage(body);
    this.mesh.coverage.count(`watcher received: ${received.type}`);
    if (received.type === 'changes') {
      this.watched.changes.push(...received.changes);
      this.watched.upTo = this.reader.seen ?? 0;
    } else if (received.type === 'gap') {
      this.askFromHere();
    } else if (received.type === 'ended') {
      this.onError(received.error.code);
    }
  }

  /** Opens more watches than a client may have, and closes them. */
  private watchMany(): void {
    for (let watches = 0; watches < floodSize; watches++) this.watchShortly();
  }

  /** Opens a second watch and closes it at once, as clients do that wait for one change. */
  private watchShortly(): void {
    this.shortWatches += 1;
    const watch_id = `${this.name}.short-${this.shortWatches}`;
    const begin = { watch_id, prefix: this.prefix };
    this.client.call({ operation: 'query', name: 'watch', body: begin }, (settlement) => {
      const isRefused = settlement.outcome !== 'done' && settlement.error.message.includes('limits.ownerWatches');
      if (isRefused) this.mesh.coverage.count('watch beyond the limit of its client refused');
      if (!this.isOver) this.client.call({ operation: 'query', name: 'unwatch', body: { watch_id } }, () => undefined);
    });
  }

  private scheduleRound(): void {
    this.mesh.after(roundMs, () => {
      if (this.isOver) return;
      this.rounds += 1;
      if (this.rounds % looksBetweenShortWatches === 0) this.watchShortly();
      if (this.rounds === this.floodRound) this.watchMany();
      const { nowMs } = this.mesh;
      if (nowMs - Math.max(this.heardMs, this.askedMs) > silenceMs) this.askFromHere();
      else if (nowMs - this.askedMs > renewMs) this.ask();
      this.scheduleRound();
    });
  }

  private askFromHere(): void {
    const { seen } = this.reader;
    this.ask(seen === undefined ? undefined : seen + 1);
  }

  private ask(from: number | undefined = this.reader.seen === 0 ? 1 : undefined): void {
    if (this.isAsking || this.isOver) return;
    this.isAsking = true;
    this.askedMs = this.mesh.nowMs;
    const more = from === undefined ? {} : { from_revision: from };
    const body = { watch_id: this.watchId, prefix: this.prefix, ...more };
    this.client.call({ operation: 'query', name: 'watch', body }, (settlement) => {
      this.isAsking = false;
      this.askedMs = this.mesh.nowMs;
      if (this.isOver) return;
      if (settlement.outcome !== 'done') return this.onError(settlement.error.code);
      const begun = settlement.result as KvReply<'watch'>;
      const isContinued = this.reader.onBegun(begun);
      if (this.watched.after === undefined) {
        this.watched.after = begun.after;
        this.watched.upTo = begun.after;
      }
      this.watched.groupUid ??= begun.group_uid;
      if (!isContinued) this.askFromHere();
    });
  }

  private onError(code: string): void {
    if (code !== 'ECOMPACTED' && code !== 'EHISTORY') return this.askFromHere();
    this.mesh.coverage.count('watcher restarts');
    // From now on. (A real one first reads the present values.)
    this.reader = new WatchReader();
    this.watched = this.newRecord(undefined);
    this.ask();
  }
}
