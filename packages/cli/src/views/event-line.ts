/** Events as lines for people. */

import type { ObservedEvent } from '@conclave/observer';
import { eventText } from '@conclave/view/text';

export { catchupText, changeText, eventText, kindText, readOnlyText } from '@conclave/view/text';

/** `15:04:05.123  n1  term 3  leader_elected  leads {n1,n2,n3}` */
export function eventLine(event: ObservedEvent): string {
  const { peer_id: peerId, term, time } = event.body;
  return `${clock(time)}  ${peerId.padEnd(4)}  term ${term}  ${event.name.padEnd(23)}  ${eventText(event)}`;
}

function clock(time: string): string {
  return /T(\d\d:\d\d:\d\d(?:\.\d+)?)/.exec(time)?.[1] ?? time;
}
