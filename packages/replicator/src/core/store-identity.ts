/**
 * Which stores reply under a target's name, if the configuration binds the target to one of them.
 *
 * Owns: when the bound store last answered, and which other store was found. Does not own what follows: the replicator
 * refuses the target, the node replaces the bound store by the found one.
 *
 * Invariants:
 * 1. While the bound store is reachable, another store under its name changes nothing: it is a stranger, or a copy.
 * 2. A found store is forgotten once it has been silent for a while.
 */
import { type Body, type LogIndex, noGroupUid, type Progress, type StoreId } from '@conclave/protocol';

type Found = Omit<NonNullable<Progress['found']>, 'bound_silent_ms'>;

/** Election timeouts after which a found store that has been silent since is forgotten. */
const rememberedTimeouts = 5;

export class StoreIdentity {
  private begunMs = 0;
  private boundReceivedMs: number | undefined;
  private other: (Found & { readonly sinceMs: number; readonly receivedMs: number }) | undefined;

  constructor(private readonly electionTimeoutMs: number) {}

  begin(nowMs: number): void {
    this.begunMs = nowMs;
  }

  /** A message of the bound store was received. */
  onBound(nowMs: number): void {
    this.boundReceivedMs = nowMs;
  }

  /** Another store has rejected AppendEntries as not meant for it: it is empty, or holds this group's history. */
  onRejection(storeId: StoreId, nowMs: number): void {
    const known = this.other?.store_id === storeId ? this.other : undefined;
    const last_index = known?.last_index ?? (0 as LogIndex);
    this.record({ store_id: storeId, group_uid: known?.group_uid ?? noGroupUid, last_index }, nowMs);
  }

  /** Another store has reported what it holds. */
  onIdentity({ store_id, group_uid, last_index }: Body<'replicator.identity'>, nowMs: number): void {
    this.record({ store_id, group_uid, last_index }, nowMs);
  }

  private record(found: Found, nowMs: number): void {
    const sinceMs = this.other?.store_id === found.store_id ? this.other.sinceMs : nowMs;
    this.other = { ...found, sinceMs, receivedMs: nowMs };
  }

  /** Whether the bound store has answered within an election timeout. */
  isBoundReachable(nowMs: number): boolean {
    return this.boundReceivedMs !== undefined && nowMs - this.boundReceivedMs < this.electionTimeoutMs;
  }

  /** Whether no store has answered for an election timeout, since the start or since the last message. */
  isSilent(nowMs: number): boolean {
    const receivedMs = Math.max(this.boundReceivedMs ?? this.begunMs, this.other?.receivedMs ?? this.begunMs);
    return nowMs - receivedMs >= this.electionTimeoutMs;
  }

  /** @returns the part of the progress that reports the found store, while it is remembered */
  found(nowMs: number, isRefused: boolean): Pick<Progress, 'found'> {
    const { other } = this;
    if (other === undefined || nowMs - other.receivedMs > rememberedTimeouts * this.electionTimeoutMs) return {};
    // The bound store has been silent since: it may be lost, which its silence will show.
    if (!isRefused && (this.boundReceivedMs ?? 0) <= other.sinceMs) return {};
    const { store_id, group_uid, last_index } = other;
    const bound_silent_ms = Math.max(0, Math.floor(nowMs - (this.boundReceivedMs ?? this.begunMs)));
    return { found: { store_id, group_uid, last_index, bound_silent_ms } };
  }

  /** The target is bound to another store from now on, or to none. */
  forget(nowMs: number): void {
    this.begunMs = nowMs;
    this.boundReceivedMs = undefined;
    this.other = undefined;
  }
}
