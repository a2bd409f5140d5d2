/**
 * How a node opens its log-store: it asks which run of the log-store this is, opens a session, reads what is durable, and notices
 * that the log-store has restarted or that another node has opened it.
 * Owns: the opening. Does not own what follows from it: see `listener`.
 * Invariants:
 * 1. A core opens its log-store once. If a second opening is needed, the node restarts with a new core (`restart`).
 * 2. A fenced node does nothing any more and never opens again.
 */
import { type Body, invariant } from '@conclave/protocol';
import type { RoleControl } from '../role-control.js';
import type { NodeState } from '../state/index.js';
import type { StepContext } from '../step-context.js';
import type { LocalActors } from './local-actors.js';

export interface LogStoreListener {
  /** The session is open, and the state is what the log-store holds. */
  onOpened(body: Body<'node.opened'>): void;
  /** The session has ended: another node has opened the log-store. The role is still `follower`. */
  onFenced(reason: string): void;
}

export class LogStoreOpener {
  constructor(
    private readonly context: StepContext,
    private readonly state: NodeState,
    private readonly actors: LocalActors,
    private readonly roles: RoleControl,
    private readonly listener: LogStoreListener,
  ) {}

  start(): void {
    invariant(this.state.role === 'opening', 'a node starts once');
    this.context.setTimer('tick', this.context.options.heartbeatIntervalMs);
    this.sendHello();
  }

  sendHello(): void {
    const { groupId, incarnation } = this.context.options;
    this.context.sendLocal({ name: 'log-store.hello', body: { group_id: groupId, nonce: incarnation } });
  }

  /** The log-store reports which run of it this is, and the current session. */
  onWelcome(body: Body<'node.welcome'>): void {
    const { state, context } = this;
    if (state.role === 'opening') {
      return context.sendLocal({
        name: 'log-store.open',
        body: {
          group_id: context.options.groupId,
          nonce: context.options.incarnation,
          incarnation: body.incarnation,
          after_session: body.session,
        },
      });
    }
    if (body.incarnation !== this.actors.logStoreIncarnation) this.restart('the log-store has restarted');
    else context.drop('welcome_repeated');
  }

  /** Ends this core: the node's process makes a new one, which opens the log-store again. */
  restart(reason: string): void {
    if (this.state.role === 'fenced') return;
    this.roles.becomeFollower(reason);
    this.state.enterRole('fenced');
    const { divergence } = this.state;
    this.context.emit({ type: 'restart', reason, ...(divergence === undefined ? {} : { divergence }) });
  }

  onOpened(body: Body<'node.opened'>): void {
    const { state, context, actors } = this;
    if (state.role !== 'opening' || body.nonce !== context.options.incarnation) return context.drop('opened_stale');
    state.open(body, context.nowMs);
    actors.opened(body.incarnation, body.term);
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
    const isForThisSession = body.store_id === state.storeId && body.refused_session === state.session;
    if (!isForThisSession || body.session <= state.session || state.role === 'opening' || state.role === 'fenced') {
      return context.drop('fenced_stale');
    }
    const reason = 'another node has opened the log-store';
    this.roles.becomeFollower(reason);
    this.listener.onFenced(reason);
    state.enterRole('fenced');
    for (const timer of ['tick', 'election', 'apply', 'reads', 'snapshot', 'change', 'transfer'] as const)
      context.cancelTimer(timer);
    context.event('peer_fenced', { session: body.session });
    context.log('error', 'fenced: another node has opened this log-store; this node has stopped', {
      session: body.session,
    });
  }
}
