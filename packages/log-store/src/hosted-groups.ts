/**
 * The groups that were created at this peer while it ran (`create_group`), as a list in the store, in addition to the groups' own data.
 *
 *     !/g    {version, groups: [{group_id, hosting_id}], leaving: [group_id]}
 *
 * Invariants:
 * 1. A change takes effect once it is synced. Changes are made one after the other.
 * 2. A group is deleted in three synced steps: it is moved from `groups` to `leaving`; its data are deleted, `meta` last; it is
 *    removed from `leaving`. After a restart in between, the remaining steps are executed before any group is started.
 * 3. The version increases with each change of `groups`.
 */
import {
  addChecksum,
  ConclaveError,
  type GroupId,
  type HostedGroup,
  invariant,
  limits,
  removeChecksum,
  StoredGroupList,
} from '@conclave/protocol';
import { hostedGroupsKey, metaKey } from './core/index.js';
import type { LogStorage } from './log-storage.js';

export class HostedGroups {
  private constructor(
    private readonly storage: LogStorage,
    private stored: StoredGroupList,
  ) {}

  /**
   * Reads the list, and deletes the data of groups that are still in `leaving`.
   * @throws ConclaveError ECORRUPT if the list is damaged
   */
  static async open(storage: LogStorage): Promise<HostedGroups> {
    const row = await storage.get(hostedGroupsKey);
    const hosted = new HostedGroups(storage, row === undefined ? emptyList : read(row));
    for (const groupId of hosted.stored.leaving) await hosted.remove(groupId);
    return hosted;
  }

  get version(): number {
    return this.stored.version;
  }

  get groups(): readonly HostedGroup[] {
    return this.stored.groups;
  }

  find(groupId: GroupId): HostedGroup | undefined {
    return this.stored.groups.find((group) => group.group_id === groupId);
  }

  /** Adds a group that is not on the list. */
  async add(group: HostedGroup): Promise<void> {
    invariant(this.find(group.group_id) === undefined, 'a group is hosted once');
    await this.write({ ...this.stored, version: this.version + 1, groups: [...this.stored.groups, group] });
  }

  /** Moves a group from `groups` to `leaving`. After its actors have stopped, `remove` deletes its data. */
  async release(groupId: GroupId): Promise<void> {
    const { groups, leaving } = this.stored;
    await this.write({
      version: this.version + 1,
      groups: groups.filter((group) => group.group_id !== groupId),
      leaving: [...leaving.filter((other) => other !== groupId), groupId],
    });
  }

  /** Whether the store holds data of a group, hosted or not. */
  async holds(groupId: GroupId): Promise<boolean> {
    return (await this.storage.keysOf(groupId, 1)).length > 0;
  }

  /** Deletes all data of a group in `leaving`. Its actors must have stopped. */
  async remove(groupId: GroupId): Promise<void> {
    const meta = metaKey(groupId);
    for (;;) {
      const keys = await this.storage.keysOf(groupId, limits.groupDeleteKeys);
      const others = keys.filter((key) => key !== meta);
      // The last round deletes `meta`.
      const batch = others.length > 0 ? others : keys;
      if (batch.length === 0) break;
      await this.storage.write(
        batch.map((key) => ({ type: 'delete', key })),
        [],
      );
    }
    await this.write({ ...this.stored, leaving: this.stored.leaving.filter((other) => other !== groupId) });
  }

  private async write(stored: StoredGroupList): Promise<void> {
    await this.storage.write([{ type: 'put', key: hostedGroupsKey, value: addChecksum(stored) }], []);
    this.stored = stored;
  }
}

const emptyList: StoredGroupList = { version: 0, groups: [], leaving: [] };

function read(row: Uint8Array): StoredGroupList {
  try {
    return StoredGroupList.parse(removeChecksum(row));
  } catch {
    throw new ConclaveError('ECORRUPT', `the list of groups under ${hostedGroupsKey} is damaged`, 'unknown');
  }
}
