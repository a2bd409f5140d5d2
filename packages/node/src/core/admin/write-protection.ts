/**
 * Whether this peer stores entries: not while an operator has made it read-only, which the log-store keeps, nor while its disk
 * has less room than the reserve. It still votes, responds, and stores terms and votes, which are small.
 * Owns: why it is read-only, and the record of that, which the quarantine shares (`diverged_at`). Does not own what follows for a
 * leader: see `leader-state.ts` and `leadership-transfer.ts`.
 */
import { type AdminRequest, asLogIndex, type Body, type ReadOnlyReason } from '@conclave/protocol';
import type { LocalActors } from '../local/index.js';
import type { NodeState } from '../state/index.js';
import type { StepContext } from '../step-context.js';

export class WriteProtection {
  private isSetByOperator = false;
  private isLow = false;

  constructor(
    private readonly context: StepContext,
    private readonly state: NodeState,
    private readonly actors: LocalActors,
  ) {}

  onOpened({ read_only }: Body<'node.opened'>): void {
    this.state.storageProblem = '';
    this.isSetByOperator = read_only;
    this.update();
  }

  /** `read_only` on this peer's subject. */
  onCommand(requestId: number, { read_only }: AdminRequest<'read_only'>): void {
    const { context, actors, state } = this;
    if (!actors.hasRoom('log-store', true)) return context.refuse(requestId, 'EBUSY', 'the log-store does not keep up');
    this.isSetByOperator = read_only;
    this.store();
    this.update();
    actors.afterSynced(() =>
      context.reply(requestId, { read_only: state.readOnlyReason !== '', reason: state.readOnlyReason }),
    );
  }

  /** Stores in the log-store what an operator has ordered, and whether this peer is in quarantine. */
  store(): void {
    const { actors, state } = this;
    const diverged_at = state.divergence?.index ?? asLogIndex(0);
    actors.sendFramed('log-store', (frame) => ({
      name: 'log-store.read_only',
      body: { ...actors.identity, ...frame, read_only: this.isSetByOperator, diverged_at },
    }));
  }

  onDisk({ is_low, free_bytes, problem = '' }: Body<'node.disk'>): void {
    this.isLow = is_low;
    this.state.storageProblem = problem;
    this.state.diskFreeBytes = free_bytes;
    this.update();
  }

  private update(): void {
    const { state, context } = this;
    const byOperator: ReadOnlyReason = this.isSetByOperator ? 'told' : '';
    const reason = byOperator === '' && this.isLow ? 'disk' : byOperator;
    if (reason === state.readOnlyReason) return;
    state.readOnlyReason = reason;
    context.event('read_only_changed', { reason });
    const why = reason === 'told' ? 'an operator made it read-only' : 'its disk has less room than the reserve';
    if (reason === '') context.log('info', 'this peer is no longer read-only');
    else context.log('warn', `this peer is read-only: ${why}`);
  }
}
