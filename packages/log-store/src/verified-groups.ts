/**
 * Which groups of a store were verified since its side file was missing or damaged (decision 0082). The list is one small file, which
 * is replaced as a whole. If the file does not exist, no group needs verification.
 */
import { open, readFile, rename } from 'node:fs/promises';
import type { GroupId } from '@conclave/protocol';

export class VerifiedGroups {
  /** Undefined: no group needs verification. */
  private verified: Set<GroupId> | undefined;
  private lastWrite: Promise<void> = Promise.resolve();

  constructor(private readonly file: string) {}

  /** Records that the side file was missing or damaged: all groups need verification. */
  begin(): Promise<void> {
    this.verified = new Set();
    return this.write();
  }

  /** Reads the file, which an earlier run or `begin` has written. */
  async open(): Promise<void> {
    try {
      this.verified = new Set(JSON.parse(await readFile(this.file, 'utf8')) as GroupId[]);
    } catch (error) {
      // A file that cannot be read means that all groups need verification.
      this.verified = (error as NodeJS.ErrnoException).code === 'ENOENT' ? undefined : new Set();
    }
  }

  /** Whether the group needs verification. */
  lacks(groupId: GroupId): boolean {
    return this.verified !== undefined && !this.verified.has(groupId);
  }

  async add(groupId: GroupId): Promise<void> {
    if (!this.lacks(groupId)) return;
    this.verified?.add(groupId);
    await this.write();
  }

  private write(): Promise<void> {
    const text = JSON.stringify([...(this.verified ?? [])]);
    const write = this.lastWrite.then(async () => {
      const next = await open(`${this.file}.next`, 'w');
      try {
        await next.writeFile(text);
        await next.sync();
      } finally {
        await next.close();
      }
      await rename(`${this.file}.next`, this.file);
    });
    this.lastWrite = write.catch(() => undefined);
    return write;
  }
}
