/**
 * Runs a core, the deterministic logic of an actor that turns an input into effects (`core/core.ts`): connects it to its mailbox,
 * its timers, its transport and its log output. Effects that only one kind of actor has are carried out by that actor's shell, the
 * code around the core that does I/O (`perform`).
 *
 * Invariants:
 * 1. One step at a time; a step's effects are carried out, in order, before the next step.
 * 2. A timer that was cancelled or reset is never delivered, even if it has fired and waits in the mailbox.
 * 3. After a step has thrown, nothing more is done: a faulty actor sends no message.
 * 4. However many requests wait, a message or a timer waits for the requests of one turn at most, and for those of one more turn
 *    for each 256 messages and timers that wait before it. So a flood of requests does not delay a leader's heartbeats.
 */
import {
  type ActorKind,
  bucketsOf,
  DropCounter,
  type GroupId,
  type Message,
  type MetricSample,
  type PeerId,
  sampleOf,
} from '@conclave/protocol';
import { ActorLog, type LineLog } from './actor-log.js';
import { processTimers } from './aligned-timers.js';
import type { CancelTimer, Core, Instant, Log, MessageInput, Send, SetTimer, TimerInput } from './core/index.js';
import { FixedHistogram, lengthBounds } from './core/index.js';
import { Mailbox } from './mailbox.js';
import { isMeasuring } from './metrics/measuring.js';
import { MessageCounts } from './metrics/message-counts.js';
import { processRunQueue, type Runnable, type RunQueue } from './run-queue.js';
import { MessageSpans, traceIdOf, tracesOf } from './tracing/tracing.js';
import type { Subscription, Transport } from './transport.js';

/** What the host process gives to every actor. */
export interface ActorContext {
  readonly groupId: GroupId;
  readonly peerId: PeerId;
  readonly actor: ActorKind;
  /** The id of this run of the process. */
  readonly incarnation: string;
  readonly transport: Transport;
  readonly log: LineLog;
  /** Ends the process, as an actor is faulty or cannot continue. */
  readonly fail: (error: unknown, actor: FailedActor) => void;
  /** The queue in which the actor waits for its turns; unless given, that of the process. */
  readonly turns?: RunQueue;
}

/** The actor that failed. */
export interface FailedActor {
  readonly groupId: GroupId;
  readonly peerId: PeerId;
  readonly actor: ActorKind;
  readonly log: LineLog;
}

/** Effects that a runner carries out itself. */
export type CommonEffect = Send | SetTimer | CancelTimer | Log;
/** Effects that are left to the shell. */
export type OwnEffect<Effect> = Exclude<Effect, CommonEffect>;

/** Messages, timers and other inputs per turn. After these and the requests of the turn the core gets `idle`, even if more wait. */
const turnMessages = 256;
/** Requests per turn, after its messages; fewer if they take long. */
const turnRequests = 256;
const turnRequestsMs = 4;

/** The timers that are aligned across all groups of a process. */
const alignedTimer = 'tick';

interface TimerRun {
  readonly name: string;
  cancel: () => void;
}

type Item<Input> =
  | { readonly type: 'input'; readonly input: Input }
  | { readonly type: 'message'; readonly input: MessageInput }
  | { readonly type: 'timer'; readonly run: TimerRun };

interface Typed {
  readonly type: string;
}

/** `Input` has the messages, timers and `idle` that the core accepts; `Effect` all its effects. */
export class CoreRunner<Input extends Typed, Effect extends Typed> implements Runnable {
  readonly log: ActorLog;
  private readonly mailbox: Mailbox<Item<Input>>;
  /**
   * Requests that were admitted. This queue has no bound of its own: the node's `OpenRequests`
   * (`packages/node/src/requests/open-requests.ts`) limits how many are open.
   */
  private readonly requests = new Mailbox<() => Input | undefined>();
  private readonly timers = new Map<string, TimerRun>();
  private readonly drops = new DropCounter();
  private readonly turns: RunQueue;
  /** The spans of the messages that carry a trace. They end with the turn, unless `endsSpans` is false: then the shell ends them. */
  readonly spans: MessageSpans;
  private readonly received = new MessageCounts();
  private readonly sent = new MessageCounts();
  /** Inputs that waited when a turn began. */
  private readonly waited = new FixedHistogram(lengthBounds);
  private listening: Subscription | undefined;
  private stopped = false;
  private lastTickMs: number | undefined;

  /**
   * @param perform carries out an effect that is not a common one; its outcome is passed in with `enqueue`
   * @param bounds of the mailbox
   */
  constructor(
    private readonly core: Core<Input, Effect>,
    private readonly context: ActorContext,
    private readonly perform: (effect: OwnEffect<Effect>) => void,
    bounds?: { readonly messages: number; readonly bytes: number },
    /** Whether the spans of messages end with the turn; else the shell takes and ends them. */
    private readonly endsSpans = true,
  ) {
    this.log = new ActorLog(context.log, context);
    this.mailbox = new Mailbox(bounds);
    this.turns = context.turns ?? processRunQueue;
    const { groupId: group, peerId: peer, actor } = context;
    this.spans = new MessageSpans({ 'conclave.group': group, 'conclave.peer': peer, 'conclave.actor': actor });
  }

  /** Subscribes to the actor's messages; `first` is the first input, if the core needs one. */
  start(first?: Input): void {
    if (first !== undefined) this.enqueue(first);
    this.listening = this.context.transport.subscribe(this.context, (message, bytes) => this.deliver(message, bytes));
  }

  /** Stops permanently: nothing more is received, no timer fires, and waiting inputs are dropped. */
  stop(): void {
    this.stopped = true;
    this.listening?.close();
    for (const { cancel } of this.timers.values()) cancel();
    this.timers.clear();
    this.mailbox.clear();
    this.requests.clear();
  }

  /** How many inputs the core and the mailbox dropped, by reason. */
  get dropped(): Readonly<Record<string, number>> {
    return { ...this.core.dropped, ...this.drops.byReason };
  }

  /** The metrics that every actor has. */
  samples(): MetricSample[] {
    const { mailbox } = this;
    return [
      sampleOf('conclave_mailbox_messages', mailbox.length, {}),
      sampleOf('conclave_mailbox_bytes', mailbox.bytes, {}),
      bucketsOf('conclave_mailbox_turn_messages', this.waited.buckets, {}),
      ...this.received
        .entries()
        .map(([message, count]) => sampleOf('conclave_messages_received_total', count, { message })),
      ...this.sent.entries().map(([message, count]) => sampleOf('conclave_messages_sent_total', count, { message })),
    ];
  }

  /** Milliseconds since the last tick of the actor's node; undefined: there was none. */
  get sinceTickMs(): number | undefined {
    return this.lastTickMs === undefined ? undefined : performance.now() - this.lastTickMs;
  }

  /** Queues an input that must not be lost, such as the outcome of an effect. */
  enqueue(input: Input): void {
    if (this.stopped) return;
    this.mailbox.push({ type: 'input', input });
    this.turns.enqueue(this);
  }

  /**
   * Queues an admitted request. Requests keep their order; other inputs may overtake them.
   * @param read decodes the request when it is its turn; undefined: it was refused
   */
  enqueueRequest(read: () => Input | undefined): void {
    if (this.stopped) return;
    this.requests.push(read);
    this.turns.enqueue(this);
  }

  /** Queues a message, if there is room. */
  deliver(message: Message, bytes: number): void {
    if (this.stopped) return;
    this.received.add(message.name);
    const queued = this.mailbox.offer({ type: 'message', input: { type: 'message', message } }, bytes);
    if (queued) this.turns.enqueue(this);
    else this.drops.count('mailbox_full');
  }

  runOnce(): boolean {
    if (this.stopped) return false;
    if (isMeasuring) this.waited.record(this.mailbox.length);
    try {
      this.takeMessages();
      this.takeRequests();
      if (this.stopped) return false;
      this.step({ type: 'idle' });
      if (!this.spans.isEmpty && this.endsSpans) this.spans.take()();
    } catch (error) {
      this.stop();
      this.context.fail(error, { ...this.whose(), log: this.log });
      return false;
    }
    return this.mailbox.length + this.requests.length > 0;
  }

  private takeMessages(): void {
    for (let left = turnMessages; left > 0 && !this.stopped; left--) {
      const item = this.mailbox.shift();
      if (item === undefined) return;
      this.take(item);
    }
  }

  private takeRequests(): void {
    if (this.requests.length === 0) return;
    const until = performance.now() + turnRequestsMs;
    for (let left = turnRequests; left > 0 && !this.stopped; left--) {
      const input = this.requests.shift()?.();
      if (input !== undefined) this.step(input);
      if (this.requests.length === 0 || performance.now() > until) return;
    }
  }

  private take(item: Item<Input>): void {
    switch (item.type) {
      case 'input':
        this.step(item.input);
        return;
      case 'message': {
        const { message } = item.input;
        this.log.note(message);
        const traces = tracesOf(message);
        if (traces !== undefined) this.trace(message.name, traces);
        if (message.name.endsWith('.tick')) this.lastTickMs = performance.now();
        this.step(item.input);
        return;
      }
      case 'timer':
        this.onTimer(item.run);
        return;
    }
  }

  private trace(name: string, traces: readonly string[]): void {
    this.spans.begin(name, traces);
    for (const trace of traces)
      this.log.write('debug', 'trace: message received', { trace_id: traceIdOf(trace), message: name });
  }

  private onTimer(run: TimerRun): void {
    if (this.timers.get(run.name) !== run) {
      this.drops.count('timer_cancelled');
      return;
    }
    this.timers.delete(run.name);
    const input: TimerInput = { type: 'timer', timer: run.name };
    this.step(input);
  }

  /** The casts are safe: a core receives only its own timers, and only messages that its `Input` names. */
  private step(input: Typed): void {
    for (const effect of this.core.step(input as Input, instant())) {
      if (this.stopped) return;
      if (isCommon(effect)) this.performCommon(effect);
      else this.perform(effect as OwnEffect<Effect>);
    }
  }

  private performCommon(effect: CommonEffect): void {
    switch (effect.type) {
      case 'send':
        this.log.note(effect.message);
        this.sent.add(effect.message.name);
        this.context.transport.send(effect.peerId, effect.message);
        return;
      case 'set_timer':
        this.setTimer(effect.timer, effect.afterMs);
        return;
      case 'cancel_timer':
        this.cancelTimer(effect.timer);
        return;
      case 'log':
        this.log.write(effect.level, effect.text, effect.fields);
        return;
    }
  }

  private setTimer(name: string, afterMs: number): void {
    this.cancelTimer(name);
    const run: TimerRun = { name, cancel: () => undefined };
    const onTime = (): void => {
      this.mailbox.push({ type: 'timer', run });
      this.turns.enqueue(this);
    };
    run.cancel = startTimer(name, afterMs, onTime);
    this.timers.set(name, run);
  }

  private cancelTimer(name: string): void {
    this.timers.get(name)?.cancel();
    this.timers.delete(name);
  }

  private whose(): Omit<FailedActor, 'log'> {
    const { groupId, peerId, actor } = this.context;
    return { groupId, peerId, actor };
  }
}

/** @returns what cancels it */
function startTimer(name: string, afterMs: number, onTime: () => void): () => void {
  if (name === alignedTimer && afterMs > 0) {
    const pending = processTimers.set(afterMs, onTime);
    return () => pending.cancel();
  }
  const handle = setTimeout(onTime, afterMs);
  return () => clearTimeout(handle);
}

/** The time and the random number of a step that runs now. */
export function instant(): Instant {
  return { nowMs: performance.now(), wallTimeMs: Date.now(), random: Math.random() };
}

function isCommon(effect: Typed): effect is CommonEffect {
  const { type } = effect;
  return type === 'send' || type === 'set_timer' || type === 'cancel_timer' || type === 'log';
}
