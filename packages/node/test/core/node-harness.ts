/**
 * Runs one node's core: plays its clock, its three local actors and the other peers, and formats each effect as a line. Timers,
 * ticks and log lines are left out.
 */
import {
  type HistoryStart,
  type KeyedHistory,
  type StateMachine,
  type StateMachineHistory,
  Unsupported,
} from '@conclave/actor/core';
import {
  type AdminCommand,
  adminCommands,
  asGroupId,
  asLogIndex,
  asPeerId,
  asSession,
  asTerm,
  type Body,
  type Consistency,
  defaultSnapshots,
  type Encoding,
  type ErrorBody,
  encodeBatch,
  encodeConfigurationBatch,
  type Frame,
  type GroupUid,
  type HistoryAnnouncement,
  type Levels,
  type Message,
  type MessageName,
  type NodeMessage,
  type PeerId,
  type Progress,
  SnapshotChunker,
  type SnapshotHead,
  type StatusReply,
  type StoreId,
  supportedLevels,
  type Term,
} from '@conclave/protocol';
import { NodeCore, type NodeEffect, type NodeInput, type NodeOptions } from '../../src/core/index.js';
import { configuration, formatEffect } from './format-effects.js';

export const groupId = asGroupId('main');
export const uid = 'uid' as GroupUid;
export const electionTimeoutMs = 1000;
export const heartbeatIntervalMs = 100;

type Own = 'log-store' | 'replicator' | 'ballot-box';
const ownKinds: readonly Own[] = ['log-store', 'replicator', 'ballot-box'];

/** An entry: the term of a command, or a configuration with its term. */
export type Entry = number | readonly [term: number, configuration: string];

export interface Found {
  readonly term?: number;
  readonly votedFor?: string;
  readonly log?: readonly Entry[];
  readonly commit?: number;
  readonly groupUid?: string;
  /** The snapshot that the log-store has; `log` is what stands behind `base`, or behind the snapshot. */
  readonly snapshot?: MadeSnapshot;
  readonly base?: readonly [index: number, term: number];
  readonly installing?: { readonly id: string; readonly stored: number };
  readonly readOnly?: boolean;
  /** The entry at which its state was found to differ, and not repaired. */
  /** The side file was missing. */
  readonly unverified?: boolean;
  readonly divergedAt?: number;
}

/** A snapshot with its chunks. */
export interface MadeSnapshot {
  readonly id: string;
  readonly head: SnapshotHead;
  readonly chunks: readonly Uint8Array[];
}

/** Cuts a snapshot of these pieces. A large `fill` makes as many chunks as there are pieces. */
export function made(
  [index, term]: readonly [number, number],
  pieces: readonly string[],
  over: { readonly id?: string; readonly fill?: number; readonly configuration?: readonly [number, string] } = {},
): MadeSnapshot {
  const { id = 'S1', fill = 0, configuration: [at, text] = [1, 'n1 n2 n3'] } = over;
  const cutter = new SnapshotChunker(asLogIndex(index));
  const chunks = pieces.flatMap((piece) => cutter.add(Buffer.from(piece.padEnd(fill, '.'))));
  chunks.push(...cutter.end());
  const configurations = [{ index: asLogIndex(at), configuration: configuration(text) }];
  return { id, head: { index: asLogIndex(index), term: asTerm(term), configurations, ...cutter.sum }, chunks };
}

/** Applies by remembering; answers what it has. */
class Memory implements StateMachine {
  readonly applied: string[] = [];
  /** The least length of a snapshot's piece. */
  fill = 0;
  /** Entries with this text it does not know. */
  unknown = '';
  apply(index: number, payload: Uint8Array): unknown {
    if (Buffer.from(payload).toString() === this.unknown) return new Unsupported(`it does not know ${this.unknown}`);
    this.applied.push(`${index}:${Buffer.from(payload)}`);
    return `done ${index}`;
  }
  /** The epochs that it has received. */
  readonly epochs: number[] = [];
  beginEpoch(epoch: number): void {
    this.epochs.push(epoch);
  }
  /** The histories that were begun at it, with their bases. */
  readonly histories: [string, number][] = [];
  beginHistory({ groupUid, base }: HistoryStart): void {
    this.histories.push([groupUid, base]);
  }
  /** How many rows a result has that begins with this. */
  rows: Readonly<Record<string, number>> = {};

  rowsIn(result: unknown): number {
    return this.rows[String(result).split(' ')[0] ?? ''] ?? 1;
  }

  query(query: unknown): unknown {
    return `${query} at ${this.applied.length}`;
  }
  /** Each entry is a revision of its own; what is watched is what its text begins with. */
  get history(): StateMachineHistory {
    const lines = this.applied;
    return {
      revision: lines.length,
      first: this.firstKnown,
      changes: (selector, from, max) => {
        const upTo = Math.min(lines.length, from + Math.min(max.changes, max.revisions) - 1);
        const changes = lines
          .slice(from - 1, upTo)
          .filter((line) => line.split(':')[1]?.startsWith(selector as string));
        return { changes, bytes: changes.length * this.changeBytes, upTo };
      },
      ...(this.isKeyed ? { keyed: this.keyed } : {}),
    };
  }
  /** Its keys are the texts. */
  private readonly keyed: KeyedHistory = {
    keyOf: (revision) => this.applied[revision - 1]?.split(':')[1],
    changeAt: (revision) => {
      this.lookedUp += 1;
      return { change: this.applied[revision - 1], bytes: this.changeBytes };
    },
  };
  /** Whether its history is by keys. */
  isKeyed = false;
  /** How often a change was made for watches by keys. */
  lookedUp = 0;
  /** The first revision of its history. */
  firstKnown = 1;
  /** How large it says that each change is. */
  changeBytes = 10;
  /** A piece for each entry that it has applied. */
  *snapshot(): Iterator<Uint8Array, void> {
    for (const line of [...this.applied]) yield Buffer.from(line.padEnd(this.fill, '.'));
  }
  restore() {
    this.applied.length = 0;
    return {
      take: (piece: Uint8Array) => void this.applied.push(Buffer.from(piece).toString().replace(/[.]+$/, '')),
      end: () => undefined,
    };
  }
}

export class NodeHarness {
  readonly machine = new Memory();
  readonly core: NodeCore;
  readonly own = { group_id: groupId, store_id: 's1' as StoreId, session: asSession(1) };
  nowMs = 0;
  /** Of the election timeout, what comes on top of it: so little that a tick comes first. */
  random = 0.0005;
  /** Whether the log-store syncs at once what it is given; else with `sync()`. */
  syncs = true;
  /** Whether the log-store answers reads of what it was opened with. */
  answersReads = true;
  /** Whether the log-store confirms the session at once; otherwise with `inForce()`. */
  confirmsSession = true;
  private asked: Body<'log-store.confirm'> | undefined;
  /** The feature levels that its own actors say; undefined: none, as those of the first version. */
  levels: Levels | undefined = supportedLevels;
  /** Whether the replicators want the content of entries. */
  /** The tick that the replicators' reports follow; undefined: they do not say. */
  reportedTickId: number | undefined;
  needsPayload = true;
  /** The uncommitted appends of the process's other groups. */
  otherAppends = 0;
  private stored: readonly Entry[] = [];
  private storedBase: readonly [number, number] = [0, 0];
  /** The chunks of snapshots that the log-store was given. */
  readonly given: Uint8Array[] = [];
  private readonly asks: Body<'log-store.read_snapshot'>[] = [];
  /** What the log-store answers of its snapshot. */
  snapshot: MadeSnapshot | undefined;
  /** What it has published of the history that it leads. */
  readonly ledHistories: HistoryAnnouncement[] = [];
  /** What a request was refused with last. */
  lastError: ErrorBody | undefined;
  /** Which own actors do not answer. */
  readonly dead = new Set<Own>();
  /** The messages that were sent last, whole. */
  sent: { readonly to: PeerId; readonly message: Message }[] = [];
  private readonly incarnations = { 'log-store': 'L1', replicator: 'R1', 'ballot-box': 'B1' };
  private readonly taken: Record<Own, Frame> = {
    'log-store': { link: 0, seq: 0 },
    replicator: { link: 0, seq: 0 },
    'ballot-box': { link: 0, seq: 0 },
  };
  wallTimeMs = 0;
  private readonly timers = new Map<string, number>();
  private lastRequestId = 0;
  private elect: Body<'ballot-box.elect'> | undefined;

  constructor(
    readonly peerId = 'n1',
    options: Partial<NodeOptions> = {},
    /** The highest version of commands that its state machine reads. */
    commandVersion?: number,
  ) {
    if (commandVersion !== undefined) Object.assign(this.machine, { commandVersion });
    this.core = new NodeCore(
      {
        groupId,
        peerId: asPeerId(peerId),
        incarnation: 'N1',
        electionTimeoutMs,
        heartbeatIntervalMs,
        changeTimeoutMs: 30_000,
        jointTimeoutMs: 10_000,
        removalNoticeMs: 10_000,
        ...defaultSnapshots,
        ...options,
      },
      { stateMachine: this.machine },
    );
  }

  // ---- the clock ---------------------------------------------------------------------------------

  /** Passes an input to the core, and at once all that follows from it, with the replies of its own actors. */
  step(input: NodeInput): string[] {
    const effects = this.core.step(input, { nowMs: this.nowMs, wallTimeMs: this.wallTimeMs, random: this.random });
    this.sent = [];
    const lines = this.perform(effects);
    const whole = this.sent;
    const after = input.type === 'idle' ? [] : this.step({ type: 'idle', otherAppends: this.otherAppends });
    this.sent = [...whole, ...this.sent];
    return [...lines, ...after];
  }

  private perform(effects: readonly NodeEffect[]): string[] {
    const lines: string[] = [];
    const answers: NodeMessage[] = [];
    for (const effect of effects) {
      if (effect.type === 'refuse') this.lastError = effect.error;
      if (effect.type === 'publish_led_history') this.ledHistories.push(effect.body);
      const line = formatEffect(effect);
      if (line !== undefined) lines.push(line);
      if (effect.type === 'set_timer') this.timers.set(effect.timer, this.nowMs + effect.afterMs);
      else if (effect.type === 'cancel_timer') this.timers.delete(effect.timer);
      else if (effect.type === 'send') {
        this.sent.push({ to: effect.peerId, message: effect.message });
        answers.push(...this.answersOfActors(effect.message));
      }
    }
    for (const message of answers) lines.push(...this.deliver(message));
    return lines;
  }

  private deliver(message: NodeMessage): string[] {
    const before = this.sent;
    const lines = this.step({ type: 'message', message });
    this.sent = [...before, ...this.sent];
    return lines;
  }

  /** Lets time pass, timer by timer. */
  wait(forMs: number): string[] {
    const end = this.nowMs + forMs;
    const lines: string[] = [];
    const sent: typeof this.sent = [];
    for (;;) {
      const due = [...this.timers].sort((a, b) => a[1] - b[1])[0];
      if (due === undefined || due[1] > end) break;
      const [timer, atMs] = due;
      this.timers.delete(timer);
      this.nowMs = Math.max(this.nowMs, atMs);
      lines.push(...this.step({ type: 'timer', timer: timer as 'tick' }));
      sent.push(...this.sent);
    }
    this.nowMs = end;
    this.sent = sent;
    return lines;
  }

  // ---- its own actors ----------------------------------------------------------------------------

  private answersOfActors(message: Message): NodeMessage[] {
    if (message.name === 'ballot-box.elect') this.elect = message.body;
    if (message.name === 'replicator.tick' || message.name === 'node.read_tick') {
      this.tickId = message.body.tick_id;
      this.tickMs = this.nowMs;
      this.replaceableAfterMs = message.body.replaceable_after_ms;
    }
    const answers: NodeMessage[] = [];
    if (message.name === 'log-store.read' && this.answersReads) answers.push(this.entries(message.body));
    if (message.name === 'log-store.snapshot_chunk') this.given.push(message.body.chunk);
    if (message.name === 'log-store.read_snapshot') this.asks.push(message.body);
    if (message.name === 'log-store.read_snapshot' && this.answersReads) answers.push(this.chunkFor(message.body));
    if (message.name === 'log-store.confirm') {
      this.asked = message.body;
      if (this.confirmsSession && !this.dead.has('log-store'))
        answers.push({ name: 'node.in_force', body: message.body });
    }
    for (const kind of ownKinds) {
      const frame = frameFor(kind, message);
      const taken = this.taken[kind];
      if (frame !== undefined && (frame.link > taken.link || frame.seq > taken.seq)) {
        this.taken[kind] = frame;
        if (kind === 'log-store' && this.syncs && !this.dead.has(kind)) answers.push(this.ack(kind));
      }
      if (message.name !== `${kind}.tick` || this.dead.has(kind)) continue;
      if (kind !== 'log-store') answers.push(this.ack(kind));
      else answers.push(this.syncs ? this.ack(kind) : this.ack(kind, 0));
    }
    return answers;
  }

  /** What the log-store answers to a read: all from there on that it was opened with. */
  private entries({ request_id, from_index }: Body<'log-store.read'>): NodeMessage {
    const [base, baseTerm] = this.storedBase;
    const batches = this.stored.slice(from_index - base - 1).map((entry, at) => batch(from_index + at, entry));
    const prev = this.stored[from_index - base - 2] ?? baseTerm;
    const prev_term = asTerm(typeof prev === 'number' ? prev : prev[0]);
    return { name: 'node.entries', body: { ...this.own, request_id, from_index, prev_term, batches, refusal: '' } };
  }

  /** All reads of the snapshot so far. */
  reads(): readonly Body<'log-store.read_snapshot'>[] {
    return this.asks;
  }

  /** The body of the message of this name that was sent last to an own actor. */
  sentOwn(name: MessageName): unknown {
    return this.sent.findLast(({ message }) => message.name === name)?.message.body;
  }

  /** What the log-store answers to a read of its snapshot. */
  chunkFor({ request_id, snapshot_id, number }: Body<'log-store.read_snapshot'>): NodeMessage {
    const { snapshot } = this;
    const hasSnapshot = snapshot !== undefined && (snapshot_id === '' || snapshot_id === snapshot.id);
    return {
      name: 'node.snapshot_chunk',
      body: {
        ...this.own,
        request_id,
        snapshot_id: hasSnapshot ? snapshot.id : '',
        head: hasSnapshot ? snapshot.head : null,
        number,
        chunk: (hasSnapshot ? snapshot.chunks[number] : undefined) ?? new Uint8Array(0),
        refusal: hasSnapshot ? '' : 'none',
      },
    };
  }

  private ack(kind: Own, seq = this.taken[kind].seq): NodeMessage {
    const { link } = this.taken[kind];
    const levels = this.levels === undefined ? {} : { levels: this.levels };
    const body = { ...this.own, link, seq, actor: kind, incarnation: this.incarnations[kind], ...levels };
    return { name: 'node.ack', body };
  }

  /** The log-store has synced all that it was given. */
  sync(): string[] {
    return this.receive(this.ack('log-store'));
  }

  /** An own actor is another run from now on, and has forgotten everything; the next tick shows it. */
  restart(kind: 'replicator' | 'ballot-box'): void {
    this.incarnations[kind] += 'x';
    this.dead.delete(kind);
  }

  /** Opens the log-store with what it has found; all own actors show themselves. */
  open(found: Found = {}): string[] {
    this.stored = found.log ?? [];
    this.storedBase = baseOf(found);
    this.snapshot = found.snapshot;
    const lines = this.step({ type: 'start' });
    const incarnation = this.incarnations['log-store'];
    lines.push(
      ...this.receive({ name: 'node.welcome', body: { group_id: groupId, incarnation, session: asSession(0) } }),
    );
    lines.push(...this.receive(this.opened(found)));
    for (const kind of ownKinds) if (!this.dead.has(kind)) lines.push(...this.receive(this.ack(kind)));
    return lines;
  }

  opened(found: Found): NodeMessage {
    const { term = 0, votedFor = '', log = [], commit = 0, groupUid, snapshot, installing, readOnly = false } = found;
    const { divergedAt, unverified } = found;
    const [base, baseTerm] = baseOf(found);
    const terms = log.map((entry) => (typeof entry === 'number' ? entry : entry[0]));
    const runs = terms.flatMap((each, at) =>
      each === terms[at - 1] ? [] : [{ first: asLogIndex(base + at + 1), term: asTerm(each) }],
    );
    const configurations = log.flatMap((entry, at) =>
      typeof entry === 'number' ? [] : [{ index: asLogIndex(base + at + 1), configuration: configuration(entry[1]) }],
    );
    const body: Body<'node.opened'> = {
      ...this.own,
      nonce: 'N1',
      incarnation: this.incarnations['log-store'],
      group_uid: (groupUid ?? (base + log.length > 0 ? uid : '')) as GroupUid,
      term: asTerm(term),
      voted_for: votedFor as PeerId | '',
      base_index: asLogIndex(base),
      base_term: asTerm(baseTerm),
      last_index: asLogIndex(base + log.length),
      commit_index: asLogIndex(commit),
      term_runs: runs,
      configurations: [...(snapshot?.head.configurations ?? []), ...configurations],
      snapshot: snapshot === undefined ? null : { snapshot_id: snapshot.id, head: snapshot.head },
      installing: installing === undefined ? null : { snapshot_id: installing.id, stored: installing.stored },
      read_only: readOnly,
      ...(unverified === undefined ? {} : { unverified }),
      ...(divergedAt === undefined ? {} : { diverged_at: asLogIndex(divergedAt) }),
    };
    return { name: 'node.opened', body };
  }

  /** The ballot-box says that the election it was last asked to count is won. */
  elected(): string[] {
    const { elect } = this;
    if (elect === undefined) throw new Error('nobody stands');
    const { term, kind, election_id } = elect;
    return this.receive({ name: 'node.elected', body: { ...this.own, term, kind, election_id } });
  }

  /** The ballot-box says that all up to here is committed. */
  committed(index: number, term = this.term): string[] {
    return this.receive({
      name: 'feed.committed',
      body: { ...this.own, term: asTerm(term), index: asLogIndex(index) },
    });
  }

  /** The ballot-box says that a quorum has echoed the latest tick, or that one. */
  confirmed(tickId = this.tickId, sessionTickId = 0): string[] {
    const body = { ...this.own, term: asTerm(this.term), tick_id: tickId, session_tick_id: sessionTickId };
    return this.receive({ name: 'node.confirmed', body });
  }

  /** Lets time pass while a quorum echoes each tick. */
  keepConfirmed(forMs: number): string[] {
    const lines: string[] = [];
    for (const endMs = this.nowMs + forMs; this.nowMs < endMs; ) lines.push(...this.wait(100), ...this.confirmed());
    return lines;
  }

  /** The log-store says how much room its disk has. */
  disk(isLow: boolean, freeBytes = 1000, problem?: string): string[] {
    const more = problem === undefined ? {} : { problem };
    return this.receive({ name: 'node.disk', body: { ...this.own, is_low: isLow, free_bytes: freeBytes, ...more } });
  }

  /** A follower asks this leader for a read index. */
  readIndex(from: string, requestId: number, over: Partial<Body<'node.read_index'>> = {}): string[] {
    const body: Body<'node.read_index'> = {
      group_id: groupId,
      group_uid: uid,
      peer_id: asPeerId(from),
      session: asSession(4),
      request_id: requestId,
      by_lease: false,
      ...over,
    };
    return this.receive({ name: 'node.read_index', body });
  }

  /** A read asks for the lease: from now on ticks may extend it. */
  useLease(): void {
    this.readIndex('n2', 9999, { by_lease: true });
    this.confirmed();
  }

  /** The leader answers with a read index, and the term of that entry. */
  readIndexAnswer(
    requestId: number,
    [index, term]: readonly [number, number],
    over: Partial<Body<'node.read_index_answer'>> = {},
  ): string[] {
    const body: Body<'node.read_index_answer'> = {
      group_id: groupId,
      group_uid: uid,
      peer_id: asPeerId('n2'),
      term: asTerm(term),
      session: this.own.session,
      request_id: requestId,
      read_index: asLogIndex(index),
      index_term: asTerm(term),
      ...over,
    };
    return this.receive({ name: 'node.read_index_answer', body });
  }

  /** The log-store confirms the session, as in the last question, or with other fields. */
  inForce(over: Partial<Body<'node.in_force'>> = {}): string[] {
    if (this.asked === undefined) throw new Error('the log-store was not asked');
    return this.receive({ name: 'node.in_force', body: { ...this.asked, ...over } });
  }

  /** The replicators report on these targets. */
  progress(
    ...targets: {
      peer: string;
      match: number;
      silentMs?: number;
      /** Since its log-store acknowledged; else as long as it has been silent. */
      storedMs?: number;
      lacksActor?: boolean;
      unapplied?: boolean;
      answersReadTicks?: boolean;
      caughtUp?: boolean;
      wantsThrottle?: boolean;
      behind?: boolean;
      refusal?: 'ENOTEMPTY' | 'ESTORE';
      install?: NonNullable<Progress['install']>;
      readOnly?: boolean;
      /** The highest feature level that it supports, from 0 on; null: it has not reported it. */
      level?: number | null;
      cannotLead?: boolean;
      /** The highest version of commands that its state machine reads. */
      commandVersion?: number;
      electionTimeoutMs?: number;
      /** Its store, where that is another than `s` and its number. */
      store?: string;
      /** Another store that answers under its name, and how long the bound one has been silent. */
      found?: readonly [store: string, boundSilentMs: number];
    }[]
  ): string[] {
    const all = targets.map(
      ({
        peer,
        match,
        silentMs = 0,
        storedMs = silentMs,
        lacksActor,
        unapplied,
        answersReadTicks,
        caughtUp = false,
        wantsThrottle,
        behind,
        refusal,
        install,
        readOnly = false,
        level = silentMs < 0 ? null : supportedLevels.highest,
        cannotLead,
        commandVersion,
        electionTimeoutMs,
        store,
        found,
      }): Progress => ({
        peer_id: asPeerId(peer),
        store_id: (store ?? (silentMs < 0 ? '' : `s${peer.slice(1)}`)) as StoreId,
        state: install === undefined ? 'replicate' : 'install',
        match_index: asLogIndex(match),
        next_index: asLogIndex(match + 1),
        in_flight: 0,
        silent_ms: silentMs,
        stored_ms: storedMs,
        caught_up: caughtUp,
        refusal: refusal ?? '',
        read_only: readOnly,
        install: install ?? null,
        ...(wantsThrottle === undefined ? {} : { wants_throttle: wantsThrottle }),
        ...(behind === undefined ? {} : { behind }),
        ...(level === null ? {} : { levels: { lowest: 0, highest: level } }),
        ...(cannotLead === undefined ? {} : { cannot_lead: cannotLead }),
        ...(commandVersion === undefined ? {} : { command_version: commandVersion }),
        ...(lacksActor === undefined ? {} : { lacks_actor: lacksActor }),
        ...(unapplied === undefined ? {} : { unapplied }),
        ...(answersReadTicks === undefined ? {} : { answers_read_ticks: answersReadTicks }),
        ...(found === undefined ? {} : { found: foundStore(...found) }),
        ...(electionTimeoutMs === undefined ? {} : { election_timeout_ms: electionTimeoutMs }),
      }),
    );
    const term = asTerm(this.term);
    return this.receive({
      name: 'node.progress',
      body: {
        ...this.own,
        term,
        targets: all,
        ...(this.reportedTickId === undefined ? {} : { tick_id: this.reportedTickId }),
        wants_content: this.needsPayload,
      },
    });
  }

  /** The leader announces a change that is catching up; `over`: that it has ended, and why. */
  announced(newPeers: string, over: { from?: string; term?: number; code?: 'ECATCHUP' } = {}): string[] {
    const { from = 'n2', term = 2, code } = over;
    const body: Body<'node.change_announced'> = {
      group_id: groupId,
      group_uid: uid,
      leader_id: asPeerId(from),
      term: asTerm(term),
      old_peers: ['n1', 'n2', 'n3'].map(asPeerId),
      new_peers: newPeers.split(' ').map(asPeerId),
      over: code === undefined ? null : { code, message: 'late', outcome: 'not_done' },
    };
    return this.receive({ name: 'node.change_announced', body });
  }

  fencedBy(session: number): string[] {
    const body = {
      group_id: groupId,
      store_id: this.own.store_id,
      refused_session: asSession(1),
      session: asSession(session),
    };
    return this.receive({ name: 'node.fenced', body });
  }

  /** Stands, is elected, is confirmed by a quorum, and has its first entry committed. Tells what follows from the election. */
  lead(found: Found = { term: 1, log: [[1, 'n1 n2 n3']] }): string[] {
    this.open(found);
    this.wait(electionTimeoutMs + 1);
    this.elected();
    const lines = this.elected();
    lines.push(...this.confirmed());
    lines.push(...this.committed(this.summary.last_index));
    return lines;
  }

  get summary() {
    return this.core.summary();
  }

  get term(): number {
    return this.summary.term;
  }

  get status(): StatusReply {
    return this.core.status({ nowMs: this.nowMs, wallTimeMs: 0, random: 0 });
  }

  /** The latest tick that it has sent to its replicators. */
  tickId = 0;
  /** When that was. */
  tickMs = 0;
  /** What that tick permits the voters. */
  replaceableAfterMs: number | undefined;

  // ---- other peers -------------------------------------------------------------------------------

  receive(message: NodeMessage): string[] {
    return this.step({ type: 'message', message });
  }

  appendEntries(over: {
    from?: string;
    term?: number;
    prev?: readonly [number, number];
    entries?: readonly Entry[];
    commit?: number;
    tick?: number;
    store?: string;
    group?: string;
    hearFeed?: boolean;
    acknowledged?: number;
    /** The voters may replace the leader after this time. */
    replaceableAfterMs?: number | undefined;
    /** The feature level of the entries. */
    level?: number;
    /** In the place of entries. */
    batches?: Uint8Array[];
  }): string[] {
    const { from = 'n2', term = 2, prev = [0, 0], entries = [], commit = 0, tick = 1 } = over;
    const batches = over.batches ?? entries.map((entry, at) => batch(prev[0] + 1 + at, entry, over.level));
    const body: Body<'node.append_entries'> = {
      group_id: groupId,
      group_uid: (over.group ?? uid) as GroupUid,
      leader_id: asPeerId(from),
      term: asTerm(term),
      target_store_id: (over.store ?? 's1') as StoreId,
      request_id: 9,
      prev_index: asLogIndex(prev[0]),
      prev_term: asTerm(prev[1]),
      leader_commit: asLogIndex(commit),
      tick_id: tick,
      hear_feed: over.hearFeed ?? false,
      ...(over.acknowledged === undefined ? {} : { acknowledged_index: asLogIndex(over.acknowledged) }),
      ...(over.replaceableAfterMs === undefined ? {} : { replaceable_after_ms: over.replaceableAfterMs }),
      batches,
    };
    return this.receive({ name: 'node.append_entries', body });
  }

  /** The leader's replicator sends a chunk of a snapshot; without a number, it asks how many are stored. */
  installSnapshot(
    { id, head, chunks }: MadeSnapshot,
    over: { from?: string; term?: number; number?: number; tick?: number; store?: string; group?: string } = {},
  ): string[] {
    const { from = 'n2', term = 2, number } = over;
    const body: Body<'node.install_snapshot'> = {
      group_id: groupId,
      group_uid: (over.group ?? uid) as GroupUid,
      leader_id: asPeerId(from),
      term: asTerm(term),
      target_store_id: (over.store ?? 's1') as StoreId,
      request_id: 9,
      tick_id: over.tick ?? 1,
      snapshot_id: id,
      head,
      number: number ?? 0,
      chunk: (number === undefined ? undefined : chunks[number]) ?? new Uint8Array(0),
    };
    return this.receive({ name: 'node.install_snapshot', body });
  }

  /** What the leader sends to its own actors and this node also receives. */
  feedAppend(over: {
    from?: string;
    term?: number;
    prev?: readonly [number, number];
    entries?: readonly Entry[];
    commit?: number;
    group?: string;
  }): string[] {
    const { from = 'n2', term = 2, prev = [0, 0], entries = [], commit = 0 } = over;
    const batches = entries.map((entry, at) => batch(prev[0] + 1 + at, entry));
    const body: Body<'feed.append'> = {
      group_id: groupId,
      store_id: `s${from.slice(1)}` as StoreId,
      session: asSession(4),
      link: 1,
      seq: 7,
      group_uid: (over.group ?? uid) as GroupUid,
      leader_id: asPeerId(from),
      leader_term: asTerm(term),
      verified_index: asLogIndex(prev[0] + entries.length),
      truncate_from: asLogIndex(0),
      commit_index: asLogIndex(commit),
      batches,
      prev_term: asTerm(prev[1]),
    };
    return this.receive({ name: 'feed.append', body });
  }

  requestVote(over: {
    from?: string;
    store?: string;
    kind?: 'pre_vote' | 'vote';
    term?: number;
    last?: readonly [number, number];
    transfer?: boolean;
    group?: string;
    /** That this peer's store has acknowledged. */
    acknowledged?: number;
  }): string[] {
    const { from = 'n2', kind = 'vote', term = 2, last = [9, 9], transfer = false } = over;
    const body: Body<'node.request_vote'> = {
      group_id: groupId,
      group_uid: (over.group ?? uid) as GroupUid,
      candidate_id: asPeerId(from),
      candidate_store_id: (over.store ?? `s${from.slice(1)}`) as StoreId,
      term: asTerm(term),
      kind,
      election_id: 1,
      last_index: asLogIndex(last[0]),
      last_term: asTerm(last[1]),
      transfer,
      ...(over.acknowledged === undefined
        ? {}
        : { acknowledged: [{ store_id: 's1' as StoreId, index: asLogIndex(over.acknowledged) }] }),
    };
    return this.receive({ name: 'node.request_vote', body });
  }

  timeoutNow(term: number, over: { from?: string; store?: string } = {}): string[] {
    const body: Body<'node.timeout_now'> = {
      group_id: groupId,
      group_uid: uid,
      leader_id: asPeerId(over.from ?? 'n2'),
      term: asTerm(term),
      target_store_id: (over.store ?? 's1') as StoreId,
    };
    return this.receive({ name: 'node.timeout_now', body });
  }

  higherTerm(from: string, term: number, store = `s${from.slice(1)}`): string[] {
    const body = {
      group_id: groupId,
      group_uid: uid,
      peer_id: asPeerId(from),
      store_id: store as StoreId,
      term: term as Term,
    };
    return this.receive({ name: 'node.higher_term', body });
  }

  identity(from: string, over: Partial<Body<'node.identity'>> = {}): string[] {
    const body: Body<'node.identity'> = {
      group_id: groupId,
      peer_id: asPeerId(from),
      request_id: 1,
      store_id: `s${from.slice(1)}` as StoreId,
      group_uid: '' as GroupUid,
      last_index: asLogIndex(0),
      leader_id: '',
      founding: false,
      configuration: null,
      levels: supportedLevels,
      ...over,
    };
    return this.receive({ name: 'node.identity', body });
  }

  identify(from: string, over: Partial<Body<'node.identify'>> = {}): string[] {
    const body = { group_id: groupId, peer_id: asPeerId(from), asker: 'node' as const, request_id: 1, founding: true };
    return this.receive({ name: 'node.identify', body: { ...body, ...over } });
  }

  // ---- requests ----------------------------------------------------------------------------------

  admin(command: AdminCommand, body: unknown = {}, addressee: 'group' | 'peer' = 'group'): string[] {
    const parsed = adminCommands[command].request.parse(body);
    return this.step({ type: 'admin', requestId: this.nextRequest(), addressee, command, body: parsed });
  }

  /** Makes it found a group of itself alone, which no other peer hosts; returns all lines but those of the requests. */
  found(more: object = {}): string[] {
    const lines = this.admin('bootstrap', { peers: [this.peerId], ...more }, 'peer');
    const refusal = `refuse ${this.lastRequestId} `;
    const isOver = () => this.status.group_uid !== '' || lines.some((line) => line.startsWith(refusal));
    for (let round = 1; round < 100 && !isOver(); round++) {
      lines.push(...this.step({ type: 'group_answered', askId: 1, round, status: null, hosts: [] }));
      if (!isOver()) lines.push(...this.wait(heartbeatIntervalMs));
    }
    return lines.filter((line) => line !== 'ask the group');
  }

  /** Requests a watch. */
  watch(watchId: string, selector: string, from?: number, encoding: Encoding = 'json'): string[] {
    const requestId = this.nextRequest();
    return this.step({ type: 'watch', requestId, watchId, selector, from, encoding });
  }

  /** Closes a watch. */
  unwatch(watchId: string): string[] {
    return this.step({ type: 'unwatch', requestId: this.nextRequest(), watchId });
  }

  /** NATS reports that nobody has received this probe. */
  unserved(probeId: number): string[] {
    return this.step({ type: 'group_unserved', probeId });
  }

  /** NATS has no subscriber for what was published. */
  noSubscribers(watchId: string): string[] {
    return this.step({ type: 'watch_without_subscribers', watchId });
  }

  /** A write of this version of the state machine's commands. */
  proposeVersion(version: number): string[] {
    const payload = Buffer.from(`version ${version}`);
    return this.step({ type: 'propose', requestId: this.nextRequest(), payload, command: undefined, version });
  }

  /** Several writes that arrive before the node runs idle. */
  propose(...texts: string[]): string[] {
    const lines = texts.flatMap((text) => {
      const input = {
        type: 'propose',
        requestId: this.nextRequest(),
        payload: Buffer.from(text),
        command: undefined,
      } as const;
      return this.perform(
        this.core.step(input, { nowMs: this.nowMs, wallTimeMs: this.wallTimeMs, random: this.random }),
      );
    });
    return [...lines, ...this.step({ type: 'idle', otherAppends: this.otherAppends })];
  }

  read(query: string, over: { addressee?: 'group' | 'peer'; consistency?: Consistency } = {}): string[] {
    const { addressee = 'group', consistency = 'linearizable' } = over;
    return this.step({ type: 'read', requestId: this.nextRequest(), addressee, consistency, query });
  }

  private nextRequest(): number {
    this.lastRequestId += 1;
    return this.lastRequestId;
  }

  dropped(reason: string): number {
    return this.status.dropped[reason] ?? 0;
  }
}

function foundStore(store: string, bound_silent_ms: number): NonNullable<Progress['found']> {
  return { store_id: store as StoreId, group_uid: '' as GroupUid, last_index: asLogIndex(0), bound_silent_ms };
}

/** The frame of a message for one own actor, where it is one of that actor's link. */
function frameFor(kind: Own, { name, body }: Message): Frame | undefined {
  const isMeant = name.startsWith(`${kind}.`) && name !== `${kind}.tick`;
  const isTaken = isMeant || (name === 'feed.append' && kind === 'log-store');
  return isTaken && 'seq' in body && 'link' in body ? { link: body.link, seq: body.seq } : undefined;
}

/** One entry as a batch of its own. */
export function batch(index: number, entry: Entry, level = 0): Uint8Array {
  if (typeof entry === 'number')
    return encodeBatch('commands', asTerm(entry), asLogIndex(index), [Buffer.from(`e${index}`)], level);
  const [term, text] = entry;
  return encodeConfigurationBatch(asTerm(term), asLogIndex(index), configuration(text));
}

/** Behind which entry the log begins. */
function baseOf({ base, snapshot }: Found): readonly [number, number] {
  return base ?? [snapshot?.head.index ?? 0, snapshot?.head.term ?? 0];
}
