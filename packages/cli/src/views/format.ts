/** Formats sets, counts and times for people. */
import { type Configuration, isJoint, type Levels, peerIds } from '@conclave/protocol';
import { bothSets } from '@conclave/view/text';

export { bothSets, bytesText, count, duration, longDuration, peerSet, stageNames } from '@conclave/view/text';

/** `0 to 1`; a single level without a range. */
export function levelsText({ lowest, highest }: Levels): string {
  return lowest === highest ? String(highest) : `${lowest} to ${highest}`;
}

export function configurationText(configuration: Configuration | null): string {
  if (configuration === null) return 'none';
  const sets = bothSets(peerIds(configuration.peers), peerIds(configuration.old_peers));
  const joint = isJoint(configuration) ? ' (joint)' : '';
  return `${sets}${joint}${configuration.epoch === undefined ? '' : `, epoch ${configuration.epoch}`}`;
}
