/**
 * Whether this peer takes entries: not while an operator says so, which the log-store keeps, nor while its disk has less
 * room than the reserve. It votes and is heard all the same, and terms and votes are stored: they are small.
 *
 * Owns why it takes none, and the record of that, which the quarantine shares (`diverged_at`). Does not own what follows for a leader: see `leadership.ts` and `transfer.ts`.
 */
import { type AdminRequest, asLogIndex, type Body, type ReadOnlyReason } from '@conclave/protocol';
import type { NodeContext } from './context.js';
import type { OwnActors } from './own-actors.js';
import type { NodeState } from './state.js';

export class ReadOnly {
  private isTold = false;
  private isLow = false;

  constructor(
    private readonly context: NodeContext,
    private readonly state: NodeState,
    private readonly own: OwnActors,
  ) {}

  onOpened({ read_only }: Body<'node.opened'>): void {
    this.isTold = read_only;
    this.update();
  }

  /** `read_only` on this peer's subject. */
  onCommand(requestId: number, { read_only }: AdminRequest<'read_only'>): void {
    const { context, own, state } = this;
    if (!own.hasRoom('log-store', true)) return context.refuse(requestId, 'EBUSY', 'the log-store does not keep up');
    this.isTold = read_only;
    this.store();
    this.update();
    own.afterSynced(() =>
      context.reply(requestId, { read_only: state.readOnlyReason !== '', reason: state.readOnlyReason }),
    );
  }

  /** Has the log-store keep what an operator has said, and what stands against this peer's state. */
  store(): void {
    const { own, state } = this;
    const diverged_at = state.divergence?.index ?? asLogIndex(0);
    own.sendFramed('log-store', (frame) => ({
      name: 'log-store.read_only',
      body: { ...own.own, ...frame, read_only: this.isTold, diverged_at },
    }));
  }

  onDisk({ is_low, free_bytes }: Body<'node.disk'>): void {
    this.isLow = is_low;
    this.state.diskFreeBytes = free_bytes;
    this.update();
  }

  private update(): void {
    const { state, context } = this;
    const told: ReadOnlyReason = this.isTold ? 'operator' : '';
    const reason = told === '' && this.isLow ? 'disk' : told;
    if (reason === state.readOnlyReason) return;
    state.readOnlyReason = reason;
    context.event('read_only_changed', { reason });
    const why = reason === 'operator' ? 'an operator made it read-only' : 'its disk has less room than the reserve';
    if (reason === '') context.log('info', 'this peer takes entries again');
    else context.log('warn', `this peer takes no entries: ${why}`);
  }
}
