/**
 * A request that was answered `not_done` is never committed. A client's message may reach two nodes that both consider
 * themselves leader: if one of them replies that the request is not done, no entry that the other has appended for it
 * is committed. So `not_done` is true of each attempt, not only of what the client concludes from all of them (DESIGN,
 * section 3).
 */
import { type Body, batchHeader, batchPayloads, type LogIndex } from '@conclave/protocol';
import type { Actor } from '../mesh/actor.js';
import type { NodeReply } from '../mesh/run-observer.js';
import { type Invariant, Rule } from './invariant.js';
import { summaryOf } from './record/nodes.js';

interface Attempt {
  /** The node that answered `not_done`, and the code. */
  notDone: string | undefined;
  readonly appended: Appended[];
}

interface Appended {
  readonly by: string;
  readonly index: number;
  readonly term: number;
}

interface Waiting {
  readonly actor: Actor;
  readonly payload: Uint8Array;
  readonly attempt: Attempt;
  /** The term in which the node led when it received the request; undefined: it did not lead. */
  readonly term: number | undefined;
}

export class NotDoneIsNeverAppended extends Rule implements Invariant {
  readonly name = 'not-done-is-never-appended';
  readonly watched = ['node'] as const;
  readonly inputs = ['propose'] as const;
  private readonly attempts = new WeakMap<object, Attempt>();
  private readonly attemptOf = new Map<number, Attempt>();
  /** Writes that a node has received and not appended. */
  private readonly waiting = new Map<number, Waiting>();
  private readonly byIndex = new Map<number, Attempt[]>();

  readonly sent = {
    'feed.append': (body: Body<'feed.append'>, from: Actor) => this.onAppend(body, from),
  };

  onDelivered(attempt: object, requestId: number): void {
    const known = this.attempts.get(attempt) ?? { notDone: undefined, appended: [] };
    this.attempts.set(attempt, known);
    this.attemptOf.set(requestId, known);
  }

  onStepping(actor: Actor, input: unknown): void {
    const { type, requestId, payload } = input as { type: string; requestId: number; payload: Uint8Array };
    const attempt = type === 'propose' ? this.attemptOf.get(requestId) : undefined;
    if (attempt === undefined) return;
    const { role, term } = summaryOf(actor);
    this.waiting.set(requestId, { actor, payload, attempt, term: role === 'leader' ? term : undefined });
  }

  private onAppend({ batches, leader_term }: Body<'feed.append'>, from: Actor): void {
    for (const { index, payload } of commandsOf(batches)) {
      const same = [...this.waiting].filter(
        ([, { actor, payload: asked }]) => actor === from && Buffer.compare(asked, payload) === 0,
      );
      // A retry has the same bytes. Each entry belongs to one of the messages: the first one that this leader received in its term.
      // Those of an earlier term are refused later.
      const [requestId, of] = same.find(([, { term }]) => term === leader_term) ?? same[0] ?? [];
      if (requestId === undefined || of === undefined) continue;
      const { attempt } = of;
      this.waiting.delete(requestId);
      attempt.appended.push({ by: from.name, index, term: leader_term });
      this.byIndex.set(index, [...(this.byIndex.get(index) ?? []), attempt]);
    }
  }

  onReplied(requestId: number, answer: NodeReply): void {
    const attempt = this.attemptOf.get(requestId);
    const name = this.waiting.get(requestId)?.actor.name ?? 'a node';
    this.attemptOf.delete(requestId);
    this.waiting.delete(requestId);
    if (attempt === undefined || 'result' in answer) return;
    const { outcome, code } = answer.error;
    if (outcome !== 'not_done') return;
    attempt.notDone ??= `${name} (${code})`;
    for (const { index } of attempt.appended) this.judge(attempt, index);
  }

  onApplied(_generation: object, index: LogIndex): void {
    for (const attempt of this.byIndex.get(index) ?? []) this.judge(attempt, index);
  }

  private judge({ notDone, appended }: Attempt, index: number): void {
    const committed = this.record.commits.at(index);
    const found = appended.find((one) => one.index === index && one.term === committed?.term);
    this.check(
      notDone === undefined || found === undefined,
      () =>
        `${notDone} replies that a request is not done, and ${found?.by} has appended it: entry ${index} is committed`,
    );
  }
}

function* commandsOf(batches: readonly Uint8Array[]): Generator<{ index: number; payload: Uint8Array }, void> {
  for (const batch of batches) {
    const { kind, first } = batchHeader(batch);
    if (kind !== 'commands') continue;
    for (const [at, payload] of batchPayloads(batch).entries()) yield { index: first + at, payload };
  }
}
