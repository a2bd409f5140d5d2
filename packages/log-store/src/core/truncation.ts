/** What a truncation is in plain puts and deletes. Worked out when it is written, from what is stored then. */
import { asLogIndex, batchUpTo, type GroupId, type LogIndex } from '@conclave/protocol';
import { indexOfKey } from './keys.js';
import type { PlainOperation, Row } from './operations.js';
import { checkedBatch } from './records.js';

/**
 * @param from all entries from here on go
 * @param keys of the stored batches that begin at `from` or behind it
 * @param holding the last stored batch that begins before `from`, or undefined
 * @throws ConclaveError ECORRUPT where that batch is damaged
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
