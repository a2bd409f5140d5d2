/**
 * Where things stand in the store. One store per process serves many groups; a group's name has no `/`, so no
 * two groups share a key, and none shares one with what the process has once.
 *
 *     <group>/m            what a group has once: see `StoredMeta`
 *     <group>/t/<index>    a run of entries of one term, by its first index
 *     <group>/c/<index>    a configuration, by its entry's index
 *     <group>/h            the snapshot that counts: its slot, id and head
 *     <group>/s/<slot>/<number>  a chunk of a snapshot, as it came
 *     !/g                  the groups that were created while the process ran: see `HostedGroups`
 *     !/w                  the number of the last write that did more than add entries
 *     ~/<group>/<index>    a batch as it came, by its first index
 *
 * No name of a group has a `~`, which sorts behind all that it may have: entries stand behind everything else, so that what
 * is written between them now and then does not lie above those that follow (docs/decisions/0050).
 */
import { asLogIndex, type GroupId, type LogIndex } from '@conclave/protocol';
import type { Leftovers } from './operations.js';

/** The parts of a group that are kept by index. */
export type IndexedPart = 'e' | 't' | 'c' | 's';

/** The digits of the largest index, so that keys sort as numbers do. */
const digits = 16;

const batchesPrefix = '~/';

export const writeNumberKey = '!/w';
export const hostedGroupsKey = '!/g';

/** All keys of a group but those of its batches lie between these, and no others. */
export function recordKeys(groupId: GroupId): { readonly gte: string; readonly lt: string } {
  return { gte: `${groupId}/`, lt: `${groupId}/~` };
}

export function metaKey(groupId: GroupId): string {
  return `${groupId}/m`;
}

export function snapshotKey(groupId: GroupId): string {
  return `${groupId}/h`;
}

/** Before all chunks of a slot, and of later ones. */
export function slotKey(groupId: GroupId, slot: number): string {
  return indexedKey(groupId, 's', slot);
}

/** Runs of slots that are not kept, each from its first one up to before another. */
export function slotsToClear({ lastSlot, keptSlots }: Leftovers): { readonly from: number; readonly before: number }[] {
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

/** Behind all keys of that part of the group. */
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

/** The group that a key belongs to; undefined: all of them. */
export function groupOfKey(key: string): GroupId | undefined {
  const [first = '', second] = key.split('/');
  if (first === '~') return second as GroupId | undefined;
  return first === '' || first === '!' ? undefined : (first as GroupId);
}

/** The index in a key, or NaN where there is none. */
export function indexOfKey(key: string): LogIndex {
  const text = key.slice(-digits);
  return asLogIndex(/^\d+$/.test(text) ? Number(text) : Number.NaN);
}

function partPrefix(groupId: GroupId, part: IndexedPart): string {
  return part === 'e' ? `${batchesPrefix}${groupId}/` : `${groupId}/${part}/`;
}
