/**
 * Group commit: writes of all groups of a process that arrive while one is being synced are joined into the next one.
 *
 * Invariants:
 * 1. One write of the storage runs at a time.
 * 2. The writes of a group keep their order. The core of its log-store submits a write only after the previous one has ended.
 * 3. The rows that a truncation deletes are looked up in the storage directly before the write that contains the truncation, while no
 *    other write runs. The deletions and the entries that replace the deleted ones are in that one write.
 */
import { FixedHistogram } from '@conclave/actor/core';
import { asLogIndex } from '@conclave/protocol';
import { type PlainOperation, type RecordedGroup, type StorageOperation, truncationOperations } from './core/index.js';
import type { LogStorage } from './log-storage.js';

interface Submission {
  readonly operations: readonly StorageOperation[];
  readonly group: RecordedGroup;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** A submission in which each truncation is replaced by the deletions and puts of rows that execute it (`PlainOperation`). */
interface Prepared {
  readonly submission: Submission;
  readonly operations: readonly PlainOperation[];
}

export class WriteScheduler {
  /** How many writes the groups have submitted, and how many writes of the storage (a sync each) these needed. */
  readonly counts = { submitted: 0, synced: 0 };
  /** How long the writes of the storage took. */
  readonly syncSeconds = new FixedHistogram();
  private waiting: Submission[] = [];
  private running: Promise<void> | undefined;

  constructor(private readonly storage: LogStorage) {}

  /**
   * Resolves once all operations are synced. Rejects with the error of the storage, or ECORRUPT if a truncation finds damage.
   * @param group the state of the group after the write, for the side file
   */
  submit(operations: readonly StorageOperation[], group: RecordedGroup): Promise<void> {
    this.counts.submitted += 1;
    return new Promise((resolve, reject) => {
      this.waiting.push({ operations, group, resolve, reject });
      // Begins in a microtask, so that groups that submit in the same turn of the event loop share the sync.
      this.running ??= Promise.resolve().then(() => this.run());
    });
  }

  private async run(): Promise<void> {
    while (this.waiting.length > 0) {
      const submissions = this.waiting;
      this.waiting = [];
      await this.write(submissions);
    }
    this.running = undefined;
  }

  private async write(submissions: readonly Submission[]): Promise<void> {
    const prepared: Prepared[] = [];
    for (const submission of submissions) {
      try {
        const operations = isPlain(submission.operations)
          ? submission.operations
          : await this.plain(submission.operations);
        prepared.push({ submission, operations });
      } catch (error) {
        submission.reject(error);
      }
    }
    if (prepared.length === 0) return;
    try {
      const operations = prepared.flatMap(({ operations }) => operations);
      const beganMs = performance.now();
      await this.storage.write(
        operations,
        prepared.map(({ submission }) => submission.group),
      );
      this.syncSeconds.record((performance.now() - beganMs) / 1000);
      this.counts.synced += 1;
      for (const { submission } of prepared) submission.resolve();
    } catch (error) {
      for (const { submission } of prepared) submission.reject(error);
    }
  }

  private async plain(operations: readonly StorageOperation[]): Promise<PlainOperation[]> {
    const plain: PlainOperation[] = [];
    for (const operation of operations) {
      if (operation.type !== 'truncate') {
        plain.push(operation);
        continue;
      }
      const { groupId, from } = operation;
      const before = asLogIndex(from - 1);
      const range = { fromIndex: before, lastIndex: before, maxBytes: 0, maxBatches: 1 };
      const holding = before === 0 ? [] : await this.storage.readBatches(groupId, range);
      const keys = await this.storage.batchKeysFrom(groupId, from);
      plain.push(...truncationOperations(groupId, from, keys, holding[0]));
    }
    return plain;
  }
}

function isPlain(operations: readonly StorageOperation[]): operations is readonly PlainOperation[] {
  return operations.every(({ type }) => type !== 'truncate');
}
