import { asGroupId, asPeerId, InvariantError, type Message } from '@conclave/protocol';
import { describe, expect, it } from 'vitest';
import {
  type ActorContext,
  type CancelTimer,
  type Core,
  CoreRunner,
  type IdleInput,
  InProcessTransport,
  type Instant,
  type LineLog,
  type Log,
  type MessageInput,
  type Send,
  type SetTimer,
  type TimerInput,
  type Transport,
} from '../src/index.js';
import { tick } from './messages.js';

type Input = MessageInput | TimerInput | IdleInput | { readonly type: 'go' };
type Effect = Send | SetTimer | CancelTimer | Log | { readonly type: 'own'; readonly value: number };

/** A core that does what it is scripted to do, and remembers its inputs. */
class ScriptedCore implements Core<Input, Effect> {
  readonly received: string[] = [];
  readonly instants: Instant[] = [];
  constructor(private readonly script: (word: string) => readonly Effect[]) {}

  step(input: Input, at: Instant): readonly Effect[] {
    const word = describeInput(input);
    this.received.push(word);
    this.instants.push(at);
    return this.script(word);
  }
}

function describeInput(input: Input): string {
  if (input.type === 'message') return `message ${(input.message.body as { seq?: number }).seq}`;
  return input.type === 'timer' ? `timer ${input.timer}` : input.type;
}

const address = { groupId: asGroupId('g'), peerId: asPeerId('n1'), actor: 'log-store' } as const;

interface Setting {
  readonly core: ScriptedCore;
  readonly runner: CoreRunner<Input, Effect>;
  readonly transport: Transport;
  readonly done: unknown[];
  readonly lines: { level: string; text: string; fields: Readonly<Record<string, unknown>> | undefined }[];
  readonly failures: unknown[];
  /** Resolves when the core has received a word this many times. */
  receives(word: string, times?: number): Promise<void>;
  failed: Promise<void>;
}

function set(script: (word: string) => readonly Effect[], max?: { messages: number; bytes: number }): Setting {
  const waiting: { word: string; times: number; resolve: () => void }[] = [];
  const done: unknown[] = [];
  const lines: Setting['lines'] = [];
  const failures: unknown[] = [];
  let noteFailure = (): void => undefined;
  const failed = new Promise<void>((resolve) => {
    noteFailure = resolve;
  });
  const core: ScriptedCore = new ScriptedCore((word) => {
    const effects = script(word);
    for (const waiter of waiting) {
      if (core.received.filter((received) => received === waiter.word).length >= waiter.times) waiter.resolve();
    }
    return effects;
  });
  const log: LineLog = { write: (level, text, fields) => lines.push({ level, text, fields }) };
  const transport = new InProcessTransport();
  const context: ActorContext = {
    ...address,
    incarnation: 'i',
    transport,
    log,
    fail: (error) => {
      failures.push(error);
      noteFailure();
    },
  };
  const runner = new CoreRunner<Input, Effect>(core, context, (effect) => done.push(effect), max);
  const receives = (word: string, times = 1) =>
    new Promise<void>((resolve) => {
      if (core.received.filter((received) => received === word).length >= times) resolve();
      else waiting.push({ word, times, resolve });
    });
  return { core, runner, transport, done, lines, failures, receives, failed };
}

describe('a core’s runner', () => {
  it('handles what arrived in order, and then an input `idle`', async () => {
    const { core, runner, receives } = set(() => []);
    runner.start({ type: 'go' });
    for (let seq = 1; seq <= 3; seq++) runner.deliver(tick(seq), 10);
    expect(core.received).toEqual([]);
    await receives('idle');
    expect(core.received).toEqual(['go', 'message 1', 'message 2', 'message 3', 'idle']);
    runner.stop();
  });

  it('handles an input `idle` after 256 messages even if more wait', async () => {
    const { core, runner, receives } = set(() => []);
    runner.start();
    for (let seq = 1; seq <= 300; seq++) runner.deliver(tick(seq), 10);
    await receives('idle', 2);
    expect(core.received.indexOf('idle')).toBe(256);
    expect(core.received.length).toBe(302);
    runner.stop();
  });

  it('passes each step the time and a random number', async () => {
    const { core, runner, receives } = set(() => []);
    runner.start({ type: 'go' });
    await receives('idle');
    for (const { nowMs, wallTimeMs, random } of core.instants) {
      expect(nowMs).toBeLessThanOrEqual(performance.now());
      expect(Math.abs(wallTimeMs - Date.now())).toBeLessThan(60_000);
      expect(random >= 0 && random < 1).toBe(true);
    }
    runner.stop();
  });

  it('does the effects of a step in order, its own kind through the shell', async () => {
    const { runner, done, receives } = set((word) =>
      word === 'go'
        ? [
            { type: 'own', value: 1 },
            { type: 'own', value: 2 },
          ]
        : [],
    );
    runner.start({ type: 'go' });
    await receives('idle');
    expect(done).toEqual([
      { type: 'own', value: 1 },
      { type: 'own', value: 2 },
    ]);
    runner.stop();
  });

  it('sends through the transport, also to itself, and never enters a step from within one', async () => {
    let depth = 0;
    const { core, runner, receives } = set((word) => {
      expect(++depth).toBe(1);
      depth--;
      return word === 'go' ? [{ type: 'send', peerId: address.peerId, message: tick(7) }] : [];
    });
    runner.start({ type: 'go' });
    await receives('message 7');
    expect(core.received.slice(0, 2)).toEqual(['go', 'idle']);
    runner.stop();
  });

  it('lets timers go off', async () => {
    const { core, runner, receives } = set((word) =>
      word === 'go'
        ? [
            { type: 'set_timer', timer: 'never', afterMs: 3_600_000 },
            { type: 'set_timer', timer: 'later', afterMs: 5 },
            { type: 'set_timer', timer: 'soon', afterMs: 1 },
          ]
        : [],
    );
    runner.start({ type: 'go' });
    await receives('timer soon');
    await receives('timer later');
    // In either order: on a machine that stood still in between, both were due.
    expect(core.received.filter((word) => word.startsWith('timer')).sort()).toEqual(['timer later', 'timer soon']);
    runner.stop();
  });

  it('never delivers a timer that was cancelled or set again, even if it has fired already', async () => {
    const { core, runner, receives } = set((word) => {
      switch (word) {
        case 'go':
          return [
            { type: 'set_timer', timer: 'cancelled', afterMs: 5 },
            { type: 'set_timer', timer: 'replaced', afterMs: 5 },
          ];
        case 'message 1': {
          // After so long a turn others have theirs: both timers go off, and wait behind message 257.
          const until = performance.now() + 20;
          while (performance.now() < until);
          return [];
        }
        case 'message 257':
          return [
            { type: 'cancel_timer', timer: 'cancelled' },
            { type: 'set_timer', timer: 'replaced', afterMs: 2 },
          ];
        default:
          return [];
      }
    });
    runner.start({ type: 'go' });
    await receives('idle');
    for (let seq = 1; seq <= 257; seq++) runner.deliver(tick(seq), 1);
    await receives('timer replaced');
    const received = core.received.filter((word) => !word.startsWith('message'));
    expect(received.slice(0, 5)).toEqual(['go', 'idle', 'idle', 'idle', 'timer replaced']);
    expect(runner.dropped).toEqual({ timer_cancelled: 2 });
    runner.stop();
  });

  it('drops and counts messages beyond the mailbox’s bound, but no timers', async () => {
    const { core, runner, receives } = set(() => [], { messages: 2, bytes: 1000 });
    runner.start();
    for (let seq = 1; seq <= 4; seq++) runner.deliver(tick(seq), 10);
    runner.enqueue({ type: 'go' });
    await receives('idle');
    expect(core.received).toEqual(['message 1', 'message 2', 'go', 'idle']);
    expect(runner.dropped).toEqual({ mailbox_full: 2 });
    runner.stop();
  });

  it('handles messages and timers before requests that wait, and those in their order', async () => {
    const { core, runner, receives } = set((word) =>
      word === 'go' ? [{ type: 'set_timer', timer: 'due', afterMs: 0 }] : [],
    );
    runner.start({ type: 'go' });
    await receives('idle');
    const message = tick(0);
    for (let seq = 1; seq <= 2000; seq++) {
      const body = { ...message.body, seq };
      runner.enqueueRequest(() => ({ type: 'message', message: { ...message, body } as Message }));
    }
    runner.deliver(tick(9001), 1);
    await receives('message 2000');
    const requests = core.received.filter((word) => word.startsWith('message') && word !== 'message 9001');
    expect(requests).toEqual(Array.from({ length: 2000 }, (_, at) => `message ${at + 1}`));
    expect(core.received.indexOf('message 9001')).toBeLessThan(core.received.indexOf('message 1'));
    // A turn ends, and the core receives `idle`, however many messages wait.
    expect(core.received.filter((word) => word === 'idle').length).toBeGreaterThan(2000 / 256);
    runner.stop();
  });

  it('stops for good when a step throws: nothing after it leaves the actor', async () => {
    const { core, runner, transport, done, failures, failed } = set((word) => {
      if (word === 'message 2') throw new InvariantError('two and two are four');
      return [{ type: 'own', value: 0 }];
    });
    runner.start({ type: 'go' });
    for (let seq = 1; seq <= 3; seq++) runner.deliver(tick(seq), 10);
    await failed;
    transport.send(address.peerId, tick(9));
    runner.enqueue({ type: 'go' });
    await new Promise((resolve) => setImmediate(resolve));
    expect(core.received).toEqual(['go', 'message 1', 'message 2']);
    expect(done.length).toBe(2);
    expect(failures).toEqual([new InvariantError('two and two are four')]);
  });

  it('logs with group, peer, actor, term and session', async () => {
    const { runner, lines, receives } = set((word) =>
      word === 'message 1' ? [{ type: 'log', level: 'warn', text: 'so it is', fields: { index: 3 } }] : [],
    );
    runner.start();
    runner.deliver(tick(1), 1);
    await receives('message 1');
    expect(lines).toEqual([
      {
        level: 'warn',
        text: 'so it is',
        fields: { group: 'g', peer: 'n1', actor: 'log-store', term: 0, session: 4, index: 3 },
      },
    ]);
    runner.stop();
  });

  it('receives nothing after it was stopped', async () => {
    const { core, runner, transport } = set((word) =>
      word === 'go' ? [{ type: 'set_timer', timer: 't', afterMs: 1 }] : [],
    );
    runner.start({ type: 'go' });
    await new Promise((resolve) => setImmediate(resolve));
    runner.stop();
    const received = core.received.length;
    transport.send(address.peerId, tick(1));
    // Its timer would have fired before this later one does, and the message would have been delivered.
    const other = set((word) => (word === 'go' ? [{ type: 'set_timer', timer: 'later', afterMs: 2 }] : []));
    other.runner.start({ type: 'go' });
    await other.receives('timer later');
    expect(core.received.length).toBe(received);
    other.runner.stop();
  });
});
