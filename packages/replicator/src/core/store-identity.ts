/**
 * Which stores reply under a target's name, if the node has named one of them for the target (the *bound* store).
 *
 * Owns: when the bound store last answered, and which other store was found. Does not own the consequences: the replicator
 * refuses the target, and the node replaces the bound store by the found one.
 *
 * Invariants:
 * 1. While the bound store is reachable, another store that replies under its name changes nothing: it may be a copy, or belong to a
 *    process that runs under the wrong name.
 * 2. A found store is forgotten once it has been silent for five election timeouts.
 */
import { type Body, type LogIndex, noGroupUid, type Progress, type StoreId } from '@conclave/protocol';

type Found = Omit<NonNullable<Progress['found']>, 'bound_silent_ms'>;

/** A found store is forgotten after this many election timeouts of silence. */
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

  /** Another store has rejected an AppendEntries because that named the bound store. The other store is empty, or holds this group's history. */
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

  /** Whether no store has answered within the last election timeout, and the replicator has run for at least that long. */
  isSilent(nowMs: number): boolean {
    const receivedMs = Math.max(this.boundReceivedMs ?? this.begunMs, this.other?.receivedMs ?? this.begunMs);
    return nowMs - receivedMs >= this.electionTimeoutMs;
  }

  /** @returns the part of the progress that reports the found store, while it is remembered */
  found(nowMs: number, isRefused: boolean): Pick<Progress, 'found'> {
    const { other } = this;
    if (other === undefined || nowMs - other.receivedMs > rememberedTimeouts * this.electionTimeoutMs) return {};
    // The bound store has answered nothing since the other one was found: it may be lost. If so, the replicator soon refuses the target.
    if (!isRefused && (this.boundReceivedMs ?? 0) <= other.sinceMs) return {};
    const { store_id, group_uid, last_index } = other;
    const bound_silent_ms = Math.max(0, Math.floor(nowMs - (this.boundReceivedMs ?? this.begunMs)));
    return { found: { store_id, group_uid, last_index, bound_silent_ms } };
  }

  /** The target's store is unknown from now on. */
  forget(nowMs: number): void {
    this.begunMs = nowMs;
    this.boundReceivedMs = undefined;
    this.other = undefined;
  }
}
