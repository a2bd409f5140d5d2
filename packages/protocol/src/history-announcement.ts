/**
 * Each leader announces its history about once a second on `<prefix>.<group>.history.<from>`, and subscribes to the announcements of all
 * leaders under that name: so two histories of one name detect each other.
 */
import { z } from 'zod';
import { decode, encode } from './codec.js';
import { GroupId, GroupUid, PeerId, Term } from './types.js';

export const HistoryAnnouncement = z.object({
  group_id: GroupId,
  /** The history in which the sender leads. */
  group_uid: GroupUid,
  peer_id: PeerId,
  term: Term,
  /** The other history under this name for which the sender has stopped serving; empty: it knows of none. */
  stopped_for: GroupUid,
});
export type HistoryAnnouncement = z.infer<typeof HistoryAnnouncement>;

export function encodeHistoryAnnouncement(body: HistoryAnnouncement): Uint8Array {
  return encode(body);
}

/** @returns undefined if it is not an announcement */
export function decodeHistoryAnnouncement(bytes: Uint8Array): HistoryAnnouncement | undefined {
  try {
    return HistoryAnnouncement.parse(decode(bytes));
  } catch {
    return undefined;
  }
}
