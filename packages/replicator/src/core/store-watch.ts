/**
 * Which stores answer under a target's name, where the configuration binds it to one of them.
 *
 * Owns when the bound one was heard, and which other one was found. Does not own what follows: whether the target is
 * refused is the replicator's matter, whether the found store takes the bound one's place the node's.
 *
 * Invariants:
 * 1. While the bound store is heard, another one under its name changes nothing: it is a stranger, or a copy.
 * 2. What was found is forgotten once it has been silent for a while.
 */
import { type Body, type LogIndex, noGroupUid, type Progress, type StoreId } from '@conclave/protocol';

type Found = Omit<NonNullable<Progress['found']>, 'bound_silent_ms'>;

/** Election timeouts after which a store that was found and has said nothing since is forgotten. */
const rememberedTimeouts = 5;

export class StoreWatch {
  private begunMs = 0;
  private boundMs: number | undefined;
  private other: (Found & { readonly sinceMs: number; readonly heardMs: number }) | undefined;

  constructor(private readonly electionTimeoutMs: number) {}

  begin(nowMs: number): void {
    this.begunMs = nowMs;
  }

  /** The store that the target is bound to has been heard. */
  onBound(nowMs: number): void {
    this.boundMs = nowMs;
  }

  /** Another one has said that AppendEntries are not for it: it holds nothing, or this group's history. */
  onRejection(storeId: StoreId, nowMs: number): void {
    const known = this.other?.store_id === storeId ? this.other : undefined;
    const last_index = known?.last_index ?? (0 as LogIndex);
    this.note({ store_id: storeId, group_uid: known?.group_uid ?? noGroupUid, last_index }, nowMs);
  }

  /** Another one has said what it holds. */
  onIdentity({ store_id, group_uid, last_index }: Body<'replicator.identity'>, nowMs: number): void {
    this.note({ store_id, group_uid, last_index }, nowMs);
  }

  private note(found: Found, nowMs: number): void {
    const sinceMs = this.other?.store_id === found.store_id ? this.other.sinceMs : nowMs;
    this.other = { ...found, sinceMs, heardMs: nowMs };
  }

  /** Whether the bound store was heard within an election timeout. */
  isBoundHeard(nowMs: number): boolean {
    return this.boundMs !== undefined && nowMs - this.boundMs < this.electionTimeoutMs;
  }

  /** Whether nothing at all was heard for an election timeout, since it began or since it was heard last. */
  isSilent(nowMs: number): boolean {
    const heardMs = Math.max(this.boundMs ?? this.begunMs, this.other?.heardMs ?? this.begunMs);
    return nowMs - heardMs >= this.electionTimeoutMs;
  }

  /** For the progress: what was found, while it is remembered. */
  found(nowMs: number, isRefused: boolean): Pick<Progress, 'found'> {
    const { other } = this;
    if (other === undefined || nowMs - other.heardMs > rememberedTimeouts * this.electionTimeoutMs) return {};
    // The bound one has not been heard since: perhaps it is lost, which its silence will show.
    if (!isRefused && (this.boundMs ?? 0) <= other.sinceMs) return {};
    const { store_id, group_uid, last_index } = other;
    const bound_silent_ms = Math.max(0, Math.floor(nowMs - (this.boundMs ?? this.begunMs)));
    return { found: { store_id, group_uid, last_index, bound_silent_ms } };
  }

  /** It is bound to another store from now on, or to none. */
  forget(nowMs: number): void {
    this.begunMs = nowMs;
    this.boundMs = undefined;
    this.other = undefined;
  }
}
