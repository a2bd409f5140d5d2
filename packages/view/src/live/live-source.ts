/**
 * A live group as a source of records: its events, the messages between its actors, and what its peers reply to `status`.
 *
 * If NATS does not permit this login a subscription or a request, a note names the role that is needed. Everything else continues.
 */
import { type Observation, observe, observeMessages } from '@conclave/observer';
import {
  ConclaveError,
  type EventBody,
  type GroupId,
  limits,
  type PeerId,
  type StatusReply,
  viewLimits,
} from '@conclave/protocol';
import type { NatsConnection } from 'nats';
import { eventRecord, messageRecord } from '../records/message-record.js';
import type { MessageRecord, StatusRecord, ViewRecord } from '../records/record.js';
import type { SourceInfo, SourceListener, ViewSource } from '../source/view-source.js';
import { MessageSampler } from './message-sampler.js';

/** The requests to a group that a live page needs. */
export interface GroupRequests {
  /** @param peer undefined: the leader */
  status(peer: PeerId | undefined, timeoutMs: number): Promise<StatusReply>;
  discover(withinMs: number): Promise<readonly PeerId[]>;
}

export interface LiveSourceOptions {
  readonly connection: NatsConnection;
  readonly groupId: GroupId;
  readonly prefix: string;
  readonly requests: GroupRequests;
  /** Messages per second that are shown; `limits.viewMessageRate` by default. */
  readonly messageRate?: number | undefined;
  /** Observe messages only while a browser shows them, so that they cause no load at other times. */
  readonly messagesForBrowsersOnly?: boolean | undefined;
  /** Milliseconds since 1970; the clock of this machine by default. */
  readonly nowMs?: (() => number) | undefined;
}

/** Messages are collected for this long. */
const windowMs = 100;
/** The time between two requests to the leader; `changeMs` while a membership change is in progress. */
const leaderMs = 1000;
const changeMs = 250;
/** The time between two requests to every peer, and between two searches for peers. */
const peersMs = 2000;
const discoverMs = 10_000;
const replyMs = 1500;

export class LiveSource implements ViewSource {
  readonly info: SourceInfo;
  private listener: SourceListener | undefined;
  private readonly sampler: MessageSampler;
  private readonly timers = new Set<NodeJS.Timeout>();
  private events: Observation<unknown> | undefined;
  private messages: Observation<unknown> | undefined;
  private waiting: ViewRecord[] = [];
  private rate = { sent: 0, shown: 0, sinceMs: 0 };
  private readonly peers = new Set<PeerId>();
  /** Members, and those to which the leader replicates. */
  private wanted: ReadonlySet<PeerId> = new Set();
  /** The last text of the note of each topic; empty: the note was withdrawn. */
  private readonly notes = new Map<string, string>();
  private isChanging = false;
  private isClosed = false;
  /** The time of the last record that was delivered. */
  private lastAt = 0;
  private readonly nowMs: () => number;
  private dropped = 0;

  constructor(private readonly options: LiveSourceOptions) {
    const { groupId, messageRate = limits.viewMessageRate, nowMs = Date.now } = options;
    this.nowMs = nowMs;
    this.info = { title: `group ${groupId}`, group: groupId, mode: 'live', time: 'wall' };
    this.sampler = new MessageSampler(Math.max(1, Math.round((messageRate * windowMs) / 1000)));
  }

  subscribe(listener: SourceListener): void {
    this.listener = listener;
    this.observeEvents();
    if (this.options.messagesForBrowsersOnly !== true) this.observeMessages();
    this.timers.add(setInterval(() => this.flush(), windowMs));
    void this.watchConnection();
    void this.repeat(
      () => this.askLeader(),
      () => (this.isChanging ? changeMs : leaderMs),
    );
    void this.repeat(
      () => this.askPeers(),
      () => peersMs,
    );
    void this.repeat(
      () => this.discover(),
      () => (this.peers.size === 0 ? leaderMs : discoverMs),
    );
  }

  async close(): Promise<void> {
    this.isClosed = true;
    for (const timer of this.timers) clearInterval(timer);
    this.events?.close();
    this.messages?.close();
  }

  onAudience(browsers: number): void {
    if (this.options.messagesForBrowsersOnly !== true || this.isClosed) return;
    if (browsers > 0) this.observeMessages();
    else {
      this.messages?.close();
      this.messages = undefined;
    }
  }

  private observeEvents(): void {
    const { connection, groupId, prefix } = this.options;
    this.events = observe({
      connection,
      groupId,
      prefix,
      onEvent: (event) => {
        if (event.name === 'stage_changed') this.isChanging = event.body.stage !== 'none';
        this.waiting.push(eventRecord(this.nowMs(), event.name, event.body));
        if (event.name === 'admin_command') this.waiting.push(replyRecord(this.nowMs(), event.body));
        this.bound();
      },
    });
    void this.report(this.events, 'permission:events', 'Events are not shown: this login needs the role observer.');
  }

  private observeMessages(): void {
    if (this.messages !== undefined) return;
    const { connection, groupId, prefix } = this.options;
    this.messages = observeMessages({
      connection,
      groupId,
      prefix,
      onMessage: (message) => this.sampler.add(messageRecord(this.nowMs(), message)),
    });
    void this.report(
      this.messages,
      'permission:messages',
      'Messages between actors are not shown: this login needs the role operator. Votes are shown as the leader reports them.',
    );
  }

  /** Publishes a note if NATS refuses the subscription. */
  private async report(observation: Observation<unknown>, topic: string, text: string): Promise<void> {
    try {
      await observation.ready;
      for await (const _ of observation);
    } catch (error) {
      if (error instanceof ConclaveError && error.code === 'EPERM') this.note(topic, text, 'warning');
    }
  }

  private async watchConnection(): Promise<void> {
    for await (const { type } of this.options.connection.status()) {
      if (type === 'disconnect')
        this.note('connection', 'The connection to NATS is lost; it is being restored.', 'error');
      if (type === 'reconnect') this.note('connection', '', 'info');
    }
  }

  /** Replaces the note of the topic, unless it has this text already. Empty: withdraws the note. */
  private note(topic: string, text: string, level: 'info' | 'warning' | 'error'): void {
    if ((this.notes.get(topic) ?? '') === text) return;
    this.notes.set(topic, text);
    this.waiting.push({ at: this.nowMs(), kind: 'note', topic, level, text });
  }

  /** Runs the work again and again, with a pause after each time. */
  private async repeat(work: () => Promise<void>, pauseMs: () => number): Promise<void> {
    while (!this.isClosed) {
      await work();
      if (this.isClosed) return;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(() => {
          this.timers.delete(timer);
          resolve();
        }, pauseMs());
        this.timers.add(timer);
      });
    }
  }

  private async askLeader(): Promise<void> {
    const record = await this.ask(undefined);
    // NATS does not permit the request.
    if (record === undefined) return;
    if (record.status === null) return this.note('leader', 'No leader replies.', 'warning');
    this.note('leader', '', 'info');
    const { configuration, progress, stage } = record.status;
    this.isChanging = stage !== 'none';
    const members = [...(configuration?.peers ?? []), ...(configuration?.old_peers ?? []), ...progress];
    this.wanted = new Set(members.map(({ peer_id: peer }) => peer));
    for (const peer of this.wanted) this.add(peer);
    this.waiting.push(record);
  }

  private async askPeers(): Promise<void> {
    await Promise.all(
      [...this.peers].map(async (peer) => {
        const record = await this.ask(peer);
        if (record === undefined) return;
        this.waiting.push(record);
        // A peer that is no member and does not run is asked again once it is found again.
        if (record.error?.code === 'EUNREACHABLE' && !this.wanted.has(peer)) this.peers.delete(peer);
      }),
    );
  }

  private async discover(): Promise<void> {
    try {
      for (const peer of await this.options.requests.discover(replyMs)) this.add(peer);
    } catch (error) {
      this.refused(error);
    }
  }

  private add(peer: PeerId): void {
    if (this.peers.size < viewLimits.peers) this.peers.add(peer);
  }

  private async ask(peer: PeerId | undefined): Promise<StatusRecord | undefined> {
    try {
      const status = await this.options.requests.status(peer, replyMs);
      return { at: this.nowMs(), kind: 'status', peer: status.peer_id, status };
    } catch (error) {
      if (this.isClosed || this.refused(error)) return undefined;
      const code = error instanceof ConclaveError ? error.code : 'EUNREACHABLE';
      const message = (error as Error).message.slice(0, limits.recordTextLength);
      return { at: this.nowMs(), kind: 'status', peer: peer ?? '', status: null, error: { code, message } };
    }
  }

  private refused(error: unknown): boolean {
    if (!(error instanceof ConclaveError) || error.code !== 'EPERM') return false;
    this.note(
      'permission:status',
      'The status of the peers is not shown: this login needs the role observer.',
      'warning',
    );
    return true;
  }

  /** Delivers what was collected, in the order of time. */
  private flush(): void {
    const { shown, sent } = this.sampler.take();
    const now = this.nowMs();
    this.rate.sent += sent;
    this.rate.shown += shown.length;
    const records = [...this.waiting, ...shown].sort((one, other) => one.at - other.at);
    this.waiting = [];
    if (this.dropped > 0) {
      records.push({ at: now, kind: 'lost', count: this.dropped, text: 'more events than this program can handle' });
      this.dropped = 0;
    }
    // `Math.abs`, because the clock of this machine may have been set back.
    if (Math.abs(now - this.rate.sinceMs) >= 1000) {
      records.push({ at: now, kind: 'rate', sent: this.rate.sent, shown: this.rate.shown });
      this.rate = { sent: 0, shown: 0, sinceMs: now };
    }
    // The clock of this machine may be set back.
    const later = records.map((record) => {
      this.lastAt = Math.max(this.lastAt, record.at);
      return record.at < this.lastAt ? { ...record, at: this.lastAt } : record;
    });
    if (later.length > 0) this.listener?.onRecords(later);
  }

  /** Drops the oldest record if more than `limits.observedEvents` wait for the next delivery. */
  private bound(): void {
    if (this.waiting.length <= limits.observedEvents) return;
    this.waiting.shift();
    this.dropped += 1;
  }
}

/** The reply to an admin command: the command itself is not observed, but the event about it is. */
function replyRecord(at: number, body: EventBody<'admin_command'>): MessageRecord {
  const { peer_id: peer, command, outcome, code, caller } = body;
  return {
    at,
    kind: 'message',
    name: `admin.${command}.reply`,
    from: { peer, actor: 'node' },
    to: { peer: '', actor: 'operator' },
    fields: { outcome, ...(code === '' ? {} : { code }), caller: caller.name },
    bytes: 0,
  };
}
