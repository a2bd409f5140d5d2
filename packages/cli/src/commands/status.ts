/** `conclave status`: prints what the leader and each peer know. */
import { allMembers, ConclaveError, type Member, type PeerId, peerIds, type StatusReply } from '@conclave/protocol';
import { type Command, Option } from 'commander';
import type { AdminClient } from '../admin-client.js';
import { withAdminClient } from '../connection.js';
import { exitCodes, Failed } from '../exit-codes.js';
import { type CommonOptions, parsePeer, withCommonOptions } from '../options.js';
import { runAction } from '../run-action.js';
import { newestConfiguration } from '../views/newest-configuration.js';
import type { PeerReply } from '../views/peer-reply.js';
import { type GroupStatus, peersOf, peerText, statusText } from '../views/status-view.js';

const defaultTimeoutMs = 2_000;

interface StatusOptions extends CommonOptions {
  readonly peer?: PeerId;
}

export function registerStatus(program: Command): void {
  withCommonOptions(
    program
      .command('status')
      .description('print the state of the group, of each peer, and which peers may be restarted now')
      .addOption(new Option('--peer <name>', 'ask only this peer').argParser(parsePeer)),
  ).action((options: StatusOptions) =>
    options.peer === undefined ? showGroup(options) : showPeer(options, options.peer),
  );
}

function showPeer(options: StatusOptions, peerId: PeerId): Promise<void> {
  return runAction(options, (output) =>
    withAdminClient(options, async (adminClient) => {
      const timeoutMs = options.timeoutMs ?? defaultTimeoutMs;
      const [reply, group] = await Promise.all([
        askPeer(adminClient, peerId, timeoutMs),
        askLeader(adminClient, timeoutMs),
      ]);
      if ('error' in reply) throw new ConclaveError(reply.error.code, reply.error.message, reply.error.outcome);
      const { status } = reply;
      // Only the leader knows whether a peer may be restarted.
      const restart = group?.restart.find(({ peer_id: of }) => of === peerId);
      if (output.json) output.record({ ...status, restart: restart === undefined ? [] : [restart] });
      else output.line(peerText(status, restart));
    }),
  );
}

function showGroup(options: StatusOptions): Promise<void> {
  return runAction(options, (output) =>
    withAdminClient(options, async (adminClient) => {
      const status = await askAll(adminClient, options.timeoutMs ?? defaultTimeoutMs);
      if (status.group === undefined && status.peers.size === 0) {
        throw new ConclaveError('EUNREACHABLE', `no peer of the group ${options.group} replies`);
      }
      if (output.json) {
        const { group = null, newest, peers } = status;
        const found = newest === undefined ? {} : { newest };
        output.record({ group, ...found, peers: Object.fromEntries([...peers].map(asRecord)) });
      } else {
        output.line(statusText(options.group, status));
      }
      if (status.group === undefined) {
        output.fail(new ConclaveError('EUNREACHABLE', `no leader answers for the group ${options.group}`));
        throw new Failed(exitCodes.unreachable);
      }
    }),
  );
}

/** Asks the leader, finds the peers, and asks each of them at the same time, so that a silent one does not delay the others. */
export async function askAll(adminClient: AdminClient, timeoutMs: number): Promise<GroupStatus> {
  const [group, found] = await Promise.all([askLeader(adminClient, timeoutMs), adminClient.discover(timeoutMs)]);
  const ask = async (peerIds: readonly PeerId[]): Promise<(readonly [PeerId, PeerReply])[]> =>
    Promise.all(peerIds.map(async (peerId) => [peerId, await askPeer(adminClient, peerId, timeoutMs)] as const));
  const replies = new Map(await ask(peersOf(group, found)));
  if (group !== undefined) return { group, peers: replies };
  for (;;) {
    const newest = newestConfiguration(replies);
    if (newest === undefined) return { group, peers: replies };
    // A row for each member, whether it replies or not; none for a peer that is no member.
    const members = peerIdsOf(allMembers(newest.configuration));
    const others = members.filter((peerId) => !replies.has(peerId));
    if (others.length === 0) {
      return { group, newest, peers: new Map(members.map((peerId) => [peerId, replies.get(peerId) as PeerReply])) };
    }
    // One of these may know a newer configuration.
    for (const [peerId, reply] of await ask(others)) replies.set(peerId, reply);
  }
}

function peerIdsOf(members: readonly Member[]): PeerId[] {
  return [...new Set(peerIds(members))].toSorted();
}

async function askLeader(adminClient: AdminClient, timeoutMs: number): Promise<StatusReply | undefined> {
  try {
    return await adminClient.admin('status', {}, { timeoutMs });
  } catch (error) {
    if (error instanceof ConclaveError && (error.code === 'EUNREACHABLE' || error.code === 'ETIMEDOUT'))
      return undefined;
    throw error;
  }
}

async function askPeer(adminClient: AdminClient, peerId: PeerId, timeoutMs: number): Promise<PeerReply> {
  try {
    return { status: await adminClient.admin('status', {}, { peerId, timeoutMs }) };
  } catch (error) {
    if (!(error instanceof ConclaveError)) throw error;
    const reason = error.code === 'ETIMEDOUT' ? await reasonOfSilence(adminClient, peerId, timeoutMs) : undefined;
    if (reason === undefined) return { error: error.toBody() };
    return { error: { ...error.toBody(), message: `${error.message}: ${reason}` }, reason };
  }
}

/**
 * A fenced node leaves requests to the node that has replaced it, even if that one does not run; its health shows that it is
 * fenced.
 */
async function reasonOfSilence(
  adminClient: AdminClient,
  peerId: PeerId,
  timeoutMs: number,
): Promise<string | undefined> {
  try {
    const { healthy, reason } = await adminClient.health({ peerId, timeoutMs });
    return healthy ? undefined : reason;
  } catch (error) {
    if (error instanceof ConclaveError) return undefined;
    throw error;
  }
}

function asRecord([peerId, answer]: readonly [PeerId, PeerReply]): readonly [string, unknown] {
  return [peerId, 'status' in answer ? answer.status : { error: answer.error }];
}
