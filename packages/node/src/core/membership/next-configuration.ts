/** What each configuration inherits from the previous one. */
import { type Configuration, featureLevel, type GroupUid, historyBase } from '@conclave/protocol';

/**
 * Returns the configuration as it is appended: with the epoch, level and history of the previous one. If the group's level
 * includes histories and the log does not name the current one, it begins here: after founding, a restored backup or a reset with
 * a base above all earlier revisions; if the group has only now reached that level, with its revisions as they are (`base` 0).
 * @param before the newest configuration of the log
 * @param next with `level` if the level is to rise
 * @param groupUid the history that the leader's log belongs to
 */
export function withHistory(
  before: Configuration,
  next: Configuration,
  groupUid: GroupUid,
  wallTimeMs: number,
): Configuration {
  const { epoch, level: levelBefore = 0 } = before;
  const level = Math.max(levelBefore, next.level ?? 0);
  const history = level < featureLevel.histories ? undefined : historyAfter(before, groupUid, wallTimeMs);
  return {
    ...next,
    ...(epoch === undefined ? {} : { epoch }),
    ...(level === 0 ? {} : { level }),
    ...(history === undefined ? {} : { history }),
  };
}

function historyAfter(
  { level = 0, history }: Configuration,
  group_uid: GroupUid,
  wallTimeMs: number,
): NonNullable<Configuration['history']> {
  if (history?.group_uid === group_uid) return history;
  const hasNoBase = level < featureLevel.histories;
  return { group_uid, base: hasNoBase ? 0 : historyBase(wallTimeMs, history?.base ?? 0) };
}
