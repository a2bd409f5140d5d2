/** The puts and deletes of a truncation, determined when it is written, from what is stored then. */
import { asLogIndex, batchUpTo, type GroupId, type LogIndex } from '@conclave/protocol';
import { indexOfKey } from './keys.js';
import { checkedBatch } from './records.js';
import type { PlainOperation, Row } from './storage-operations.js';

/**
 * @param from all entries from here on are deleted
 * @param keys of the stored batches that begin at or after `from`
 * @param holding the last stored batch that begins before `from`, or undefined
 * @throws ConclaveError ECORRUPT if that batch is damaged
 */
export function truncationOperations(
  groupId: GroupId,
  from: LogIndex,
  keys: readonly string[],
  holding: Row | undefined,
): PlainOperation[] {
  const operations = keys
    .filter((key) => indexOfKey(key) >= from)
    .map((key): PlainOperation => ({ type: 'delete', key }));
  if (holding !== undefined && checkedBatch(groupId, holding).last >= from) {
    operations.push({ type: 'put', key: holding.key, value: batchUpTo(holding.value, asLogIndex(from - 1)) });
  }
  return operations;
}
