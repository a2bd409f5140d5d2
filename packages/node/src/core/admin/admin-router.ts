/** Routes admin commands to the part that carries them out. */
import { type AdminRequest, limits, type PeerId, peerIds, type StatusReply } from '@conclave/protocol';
import type { NodeInput } from '../inputs-and-effects.js';
import type { StateComparison } from '../integrity/index.js';
import type { LeaderState, LeadershipTransfer, OtherHistory } from '../leader/index.js';
import type { Bootstrap, ConfigurationChange, LevelRaise, PeerReset } from '../membership/index.js';
import type { Backup, SnapshotTaker } from '../snapshot/index.js';
import type { NodeState } from '../state/index.js';
import type { StepContext } from '../step-context.js';
import type { WriteProtection } from './write-protection.js';

type AdminInput = Extract<NodeInput, { type: 'admin' }>;

interface AdminParts {
  readonly backup: Backup;
  readonly bootstrap: Bootstrap;
  readonly change: ConfigurationChange;
  readonly comparison: StateComparison;
  readonly leadership: LeaderState;
  readonly levelRaise: LevelRaise;
  readonly otherHistory: OtherHistory;
  readonly peerReset: PeerReset;
  readonly readOnly: WriteProtection;
  readonly snapshots: SnapshotTaker;
  readonly transfer: LeadershipTransfer;
}

export class AdminRouter {
  /** Commands that arrived during a transfer of leadership. */
  private held: AdminInput[] = [];

  constructor(
    private readonly context: StepContext,
    private readonly state: NodeState,
    private readonly parts: AdminParts,
    private readonly status: () => StatusReply,
  ) {}

  onCommand(input: AdminInput): void {
    if (input.addressee === 'peer') this.onPeerCommand(input);
    else this.onGroupCommand(input);
  }

  private onPeerCommand({ requestId, command, body }: AdminInput): void {
    const { state, context } = this;
    if (command === 'status') return context.reply(requestId, this.status());
    if (state.role === 'opening') {
      return context.refuse(requestId, 'EBUSY', 'the peer is starting: its log-store has not answered yet');
    }
    if (command === 'get_leader') {
      return context.reply(requestId, { leader_id: state.leaderId, term: state.term });
    }
    if (command === 'snapshot') return this.parts.snapshots.onCommand(requestId);
    if (command === 'read_snapshot') return this.parts.backup.onRead(requestId, body as AdminRequest<'read_snapshot'>);
    if (command === 'restore_chunk') {
      return this.parts.backup.onRestoreChunk(requestId, body as AdminRequest<'restore_chunk'>);
    }
    if (command === 'read_only') return this.parts.readOnly.onCommand(requestId, body as AdminRequest<'read_only'>);
    if (command === 'reset_peer') return this.parts.peerReset.onReset(requestId, body as AdminRequest<'reset_peer'>);
    if (command === 'bootstrap') return this.parts.bootstrap.onBootstrap(requestId, body as AdminRequest<'bootstrap'>);
    context.refuse(
      requestId,
      'EPERM',
      `the leader answers ${command}, on the group’s subject`,
      'not_done',
      state.leaderId,
    );
  }

  private onGroupCommand(input: AdminInput): void {
    const { requestId, command, body } = input;
    const { state, context } = this;
    if (command !== 'status' && this.parts.otherHistory.refuses(requestId, true)) return;
    if (this.parts.transfer.isInProgress && command !== 'status') return this.hold(input);
    const { leader_id } = body as { leader_id?: PeerId };
    if (leader_id !== undefined && leader_id !== state.peerId) {
      return context.refuse(requestId, 'EPERM', `${leader_id} is not the leader`, 'not_done', state.peerId);
    }
    switch (command) {
      case 'status':
        return context.reply(requestId, this.status());
      case 'add_peer':
      case 'remove_peer':
      case 'change_peers':
        return this.onChange(input);
      case 'upgrade':
        return this.parts.levelRaise.onUpgrade(requestId, body as AdminRequest<'upgrade'>);
      case 'cancel_change':
        return this.parts.change.cancel(requestId);
      case 'check':
        return this.parts.comparison.onCommand(requestId);
      case 'transfer_leader':
        return this.onTransfer(requestId, body as AdminRequest<'transfer_leader'>);
      case 'bootstrap':
      case 'read_only':
      case 'get_leader':
      case 'read_snapshot':
      case 'restore_chunk':
      case 'snapshot':
      case 'reset_peer':
        return context.refuse(requestId, 'EINVAL', `ask a peer: ${command} is answered on <peer>.admin`);
      default:
        command satisfies never;
    }
  }

  /** The next leader may lead already, and have received the same command: until that is known, no outcome is certain. */
  private hold(input: AdminInput): void {
    if (input.command === 'transfer_leader' || this.held.length >= limits.heldCommands) {
      return this.context.refuse(input.requestId, 'EBUSY', 'the leader is transferring its leadership', 'unknown');
    }
    this.held.push(input);
  }

  /** Carries out the commands that were held, if this peer still leads. Called after each step. */
  release(): void {
    if (this.held.length === 0 || this.parts.transfer.isInProgress) return;
    const { state, context } = this;
    const held = this.held;
    this.held = [];
    for (const input of held) {
      if (state.role === 'leader') this.onGroupCommand(input);
      else context.refuse(input.requestId, 'EPERM', 'the leadership was transferred', 'unknown', state.leaderId);
    }
  }

  private onChange({ requestId, command, body }: AdminInput): void {
    const { context } = this;
    const { change } = this.parts;
    const rejection = this.parts.leadership.reasonAgainstWrites();
    if (rejection !== undefined) return context.refuse(requestId, 'EREADONLY', rejection);
    const newPeers = this.wanted(command, body);
    if (newPeers.length === 0) return context.refuse(requestId, 'EINVAL', 'a group has at least one peer');
    if (newPeers.length > limits.configurationPeers) {
      return context.refuse(requestId, 'EINVAL', `a configuration has at most ${limits.configurationPeers} peers`);
    }
    const { timeout_ms } = body as { timeout_ms?: number };
    change.start({ requestId, newPeers, timeoutMs: timeout_ms ?? context.options.changeTimeoutMs });
  }

  /** Returns the peers that the command requests. */
  private wanted(command: AdminInput['command'], body: unknown): PeerId[] {
    if (command === 'change_peers') return (body as AdminRequest<'change_peers'>).new_peers;
    const { peer_id } = body as AdminRequest<'add_peer'>;
    const others = peerIds(this.state.log.configuration?.configuration.peers ?? []).filter((id) => id !== peer_id);
    return command === 'add_peer' ? this.withPeer(peer_id) : others;
  }

  private withPeer(peerId: PeerId): PeerId[] {
    const peers = peerIds(this.state.log.configuration?.configuration.peers ?? []);
    return peers.includes(peerId) ? peers : [...peers, peerId];
  }

  private onTransfer(requestId: number, body: AdminRequest<'transfer_leader'>): void {
    const { context } = this;
    const { change, transfer } = this.parts;
    change.preempt('the leadership is being transferred');
    if (change.isBusy) return context.refuse(requestId, 'EBUSY', 'a membership change is in progress');
    transfer.start(requestId, body.peer_id, body.timeout_ms ?? 2 * context.options.electionTimeoutMs);
  }
}
