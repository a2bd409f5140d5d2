/**
 * Whether another process serves the log-stores of this peer already. Two stores of one name would confuse the peer's own
 * actors, and two copies of one store could vote twice: so the second one does not start.
 *
 * It asks the subject on which the other one would answer for its health. What it cannot tell: that there is another one
 * behind a cut network, or one that starts at the same moment.
 */
import type { Connection } from '@conclave/actor';
import { ConclaveError, decodeRequest, HealthReply, type Subjects } from '@conclave/protocol';
import type { RunOptions } from './run-options.js';

/** Asked again, as a process that is stopping may still answer. */
const asks = 3;
const pauseMs = 400;
const answerMs = 500;

/** @throws ConclaveError EBUSY where there is one */
export async function refuseSecondStore(
  { actors, groups, peer }: RunOptions,
  connection: Connection,
  subjects: Subjects,
): Promise<void> {
  const [groupId] = groups;
  if (groupId === undefined || !actors.includes('log-store')) return;
  const subject = subjects.health({ groupId, peerId: peer, recipient: 'log-store' });
  let other: HealthReply | undefined;
  for (let ask = 0; ask < asks; ask++) {
    if (ask > 0) await new Promise((resolve) => setTimeout(resolve, pauseMs));
    const found = await whoAnswers(connection, subject);
    // Nobody, or another run each time: processes come and go, and none stays.
    if (found === undefined || (other !== undefined && other.incarnation !== found.incarnation)) return;
    other = found;
  }
  const store = `another process serves the log-stores of ${peer} already (run ${other?.incarnation})`;
  throw new ConclaveError('EBUSY', `${store}: is this peer started twice, or was its data copied?`);
}

async function whoAnswers(connection: Connection, subject: string): Promise<HealthReply | undefined> {
  try {
    const reply = await connection.nats.request(subject, new Uint8Array(0), { timeout: answerMs });
    return HealthReply.parse(decodeRequest(reply.data).value);
  } catch {
    // No responders, no answer in time, no NATS: nobody that can be told.
    return undefined;
  }
}
