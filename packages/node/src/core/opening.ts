/**
 * How a node comes to its log-store: asking which run of it this is, opening a session, taking what is durable, and
 * noticing that the log-store has restarted or that another node has opened it.
 *
 * Owns the session, the store's id and what the state holds right after the opening. Does not own what follows from
 * it: see `listener`.
 *
 * Invariants:
 * 1. A core opens its log-store once. What would need a second opening makes the node start over (`restart`).
 * 2. A fenced node does nothing any more and never opens again.
 */
import { asLogIndex, type Body, invariant } from '@conclave/protocol';
import type { NodeContext } from './context.js';
import type { NodeHub } from './hub.js';
import type { OwnActors } from './own-actors.js';
import type { NodeState } from './state.js';

export interface OpeningListener {
  /** The session is open, and the state is what the log-store has found. */
  onOpened(body: Body<'node.opened'>): void;
  /** The session is over: another node has opened the log-store. The role is `follower` still. */
  onFenced(reason: string): void;
}

export class Opening {
  constructor(
    private readonly context: NodeContext,
    private readonly state: NodeState,
    private readonly own: OwnActors,
    private readonly hub: NodeHub,
    private readonly listener: OpeningListener,
  ) {}

  start(): void {
    invariant(this.state.role === 'opening', 'a node starts once');
    this.context.setTimer('tick', this.context.options.heartbeatIntervalMs);
    this.sayHello();
  }

  sayHello(): void {
    const { groupId, incarnation } = this.context.options;
    this.context.sendOwn({ name: 'log-store.hello', body: { group_id: groupId, nonce: incarnation } });
  }

  /** The log-store says which run of it this is, and which session is in force. */
  onWelcome(body: Body<'node.welcome'>): void {
    const { state, context } = this;
    if (state.role === 'opening') {
      return context.sendOwn({
        name: 'log-store.open',
        body: {
          group_id: context.options.groupId,
          nonce: context.options.incarnation,
          incarnation: body.incarnation,
          after_session: body.session,
        },
      });
    }
    if (body.incarnation !== this.own.logStoreIncarnation) this.beginAnew('the log-store has restarted');
    else context.drop('welcome_repeated');
  }

  /** Ends this core: the shell makes a new one, which opens the log-store again. */
  beginAnew(reason: string): void {
    if (this.state.role === 'fenced') return;
    this.hub.becomeFollower(reason);
    this.state.role = 'fenced';
    const { divergence } = this.state;
    this.context.emit({ type: 'restart', reason, ...(divergence === undefined ? {} : { divergence }) });
  }

  onOpened(body: Body<'node.opened'>): void {
    const { state, context, own } = this;
    if (state.role !== 'opening' || body.nonce !== context.options.incarnation) return context.drop('opened_stale');
    state.storeId = body.store_id;
    state.session = body.session;
    state.groupUid = body.group_uid;
    state.term = body.term;
    state.votedFor = body.voted_for;
    state.log.load({
      base: { index: body.base_index, term: body.base_term },
      lastIndex: body.last_index,
      termRuns: body.term_runs,
      configurations: body.configurations,
    });
    // What a snapshot stands for was applied once, so it is committed.
    state.commitIndex = asLogIndex(Math.max(body.commit_index, body.snapshot?.head.index ?? 0));
    state.openedMs = context.nowMs;
    // Alone, there is nobody who could verify it.
    state.wasUnverified = body.unverified === true;
    state.isUnverified = state.wasUnverified && !state.isAlone();
    state.role = 'follower';
    own.opened(body.incarnation, body.term);
    context.log('info', 'the log-store is open', {
      session: body.session,
      store_id: body.store_id,
      term: body.term,
      first_index: state.log.firstIndex,
      last_index: body.last_index,
    });
    this.listener.onOpened(body);
  }

  onFenced(body: Body<'node.fenced'>): void {
    const { state, context } = this;
    const isMeant = body.store_id === state.storeId && body.refused_session === state.session;
    if (!isMeant || body.session <= state.session || state.role === 'opening' || state.role === 'fenced') {
      return context.drop('fenced_stale');
    }
    const reason = 'another node has opened the log-store';
    this.hub.becomeFollower(reason);
    this.listener.onFenced(reason);
    state.role = 'fenced';
    for (const timer of ['tick', 'election', 'apply', 'reads', 'snapshot', 'change', 'transfer'] as const)
      context.cancelTimer(timer);
    context.event('peer_fenced', { session: body.session });
    context.log('error', 'fenced: another node has opened this log-store; this one does nothing any more', {
      session: body.session,
    });
  }
}
