/** Texts of violations: entries, members and configurations. */
import type { Configuration, Member } from '@conclave/protocol';
import type { Entry } from './record/log-tree.js';

export function keysOf(members: readonly Member[]): string[] {
  return members.map(({ peer_id, store_id }) => `${peer_id}:${store_id}`).sort();
}

export function sameMembers(a: readonly Member[], b: readonly Member[]): boolean {
  return keysOf(a).join() === keysOf(b).join();
}

export function sameConfiguration(a: Configuration, b: Configuration): boolean {
  return sameMembers(a.peers, b.peers) && sameMembers(a.old_peers, b.old_peers);
}

/** `{n1:id3,n2:id7 | n1:id3}`: after the bar the old peers of a joint configuration. */
export function configurationText({ peers, old_peers }: Configuration): string {
  return `{${keysOf(peers)}${old_peers.length > 0 ? ` | ${keysOf(old_peers)}` : ''}}`;
}

/** `entry 7 of term 3`, or `nothing`. */
export function entryText(entry: Entry | undefined): string {
  return entry === undefined ? 'nothing' : `entry ${entry.index} of term ${entry.term}`;
}
