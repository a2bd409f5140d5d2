/**
 * The keys of the store. One store per process serves many groups; a group's name contains no `/`, so no two groups share a key,
 * and no group shares one with the rows of the process.
 *
 *     <group>/m            what a group has once: see `StoredMeta`
 *     <group>/t/<index>    a run of entries of one term, by its first index
 *     <group>/c/<index>    a configuration, by its entry's index
 *     <group>/h            the current snapshot: its slot, id and head
 *     <group>/s/<slot>/<number>  a chunk of a snapshot, as received
 *     !/g                  the groups that were created while the process ran: see `HostedGroups`
 *     !/w                  the number of the last write that did more than add entries
 *     ~/<group>/<index>    a batch as received, by its first index
 *
 * No name of a group contains `~`, which sorts after all allowed characters: entries sort after everything else, so that occasional
 * writes between them do not overlap the tables of later entries (docs/decisions/0050).
 */
import { asLogIndex, type GroupId, type LogIndex } from '@conclave/protocol';
import type { Garbage } from './storage-operations.js';

/** The parts of a group that are stored by index. */
export type IndexedPart = 'e' | 't' | 'c' | 's';

/** The digits of the largest index, so that keys sort as numbers do. */
const digits = 16;

const batchesPrefix = '~/';

export const writeNumberKey = '!/w';
export const hostedGroupsKey = '!/g';

/** All keys of a group except those of its batches are between these, and no others. */
export function recordKeys(groupId: GroupId): { readonly gte: string; readonly lt: string } {
  return { gte: `${groupId}/`, lt: `${groupId}/~` };
}

export function metaKey(groupId: GroupId): string {
  return `${groupId}/m`;
}

export function snapshotKey(groupId: GroupId): string {
  return `${groupId}/h`;
}

/** Before all chunks of a slot, and of later slots. */
export function slotKey(groupId: GroupId, slot: number): string {
  return indexedKey(groupId, 's', slot);
}

/** The ranges of slots that are not kept, each from its first slot up to before another. */
export function slotsToPurge({ lastSlot, keptSlots }: Garbage): { readonly from: number; readonly before: number }[] {
  const kept = [...keptSlots, lastSlot + 1].sort((a, b) => a - b);
  return kept
    .map((before, at) => ({ from: (kept[at - 1] ?? -1) + 1, before }))
    .filter(({ from, before }) => from < before);
}

export function chunkKey(groupId: GroupId, slot: number, number: number): string {
  return `${slotKey(groupId, slot)}/${String(number).padStart(digits, '0')}`;
}

export function indexedKey(groupId: GroupId, part: IndexedPart, index: number): string {
  return `${partPrefix(groupId, part)}${String(index).padStart(digits, '0')}`;
}

/** After all keys of that part of the group. */
export function endOfPart(groupId: GroupId, part: IndexedPart): string {
  return `${partPrefix(groupId, part)}~`;
}

export function batchKey(groupId: GroupId, first: number): string {
  return indexedKey(groupId, 'e', first);
}

/** Whether it is the key of a batch. */
export function isBatchKey(key: string): boolean {
  return key.startsWith(batchesPrefix);
}

/** Whether it is the key of a chunk of a snapshot. */
export function isChunkKey(key: string): boolean {
  return /^[^/]+\/s\//.test(key);
}

/** The group that a key belongs to; undefined: the whole process. */
export function groupOfKey(key: string): GroupId | undefined {
  const [first = '', second] = key.split('/');
  if (first === '~') return second as GroupId | undefined;
  return first === '' || first === '!' ? undefined : (first as GroupId);
}

/** The index in a key; NaN: there is none. */
export function indexOfKey(key: string): LogIndex {
  const text = key.slice(-digits);
  return asLogIndex(/^\d+$/.test(text) ? Number(text) : Number.NaN);
}

function partPrefix(groupId: GroupId, part: IndexedPart): string {
  return part === 'e' ? `${batchesPrefix}${groupId}/` : `${groupId}/${part}/`;
}
