/** `conclave peers ...`: changes the members of a group, and prints the progress. */
import {
  type AdminCommand,
  type AdminReply,
  type AdminRequest,
  type ChangeReply,
  ConclaveError,
  defaultTimes,
  type PeerId,
  peerIds,
} from '@conclave/protocol';
import { Argument, type Command } from 'commander';
import type { AdminClient } from '../admin-client.js';
import { continueWithoutReader } from '../closed-output.js';
import { type ConfirmOptions, confirm, withYesOption } from '../confirm.js';
import { withAdminClient } from '../connection.js';
import { observeGroup } from '../events.js';
import { Interrupted } from '../exit-codes.js';
import { type CommonOptions, parsePeer, parsePeers, withCommonOptions } from '../options.js';
import type { Output } from '../output.js';
import { unlessStopped } from '../processes/clean-up.js';
import { isUnreachable, retryUntil } from '../retry-until.js';
import { runAction } from '../run-action.js';
import { ChangeView } from '../views/change-view.js';
import { changeText, readOnlyText } from '../views/event-line.js';
import { count, duration, peerSet, stageNames } from '../views/format.js';
import { LiveBars } from '../views/live-bars.js';
import { registerPeersReset } from './peers-reset.js';

type ChangeCommand = 'add_peer' | 'remove_peer' | 'change_peers';

/** How long a group may take to elect a leader before the command ends without a request. */
const leaderWaitMs = 5_000;
/** A reply may arrive this long after the last deadline of the change. */
const graceMs = 5_000;
const statusEveryMs = 500;
const askTimeoutMs = 5_000;
const drawEveryMs = 100;
const continuesText = 'conclave: the group may continue the change: see `conclave status`, or `conclave peers cancel`';

export function registerPeers(program: Command): void {
  const peers = program.command('peers').description('the members of the group');
  const shared = (command: Command): Command => withCommonOptions(command);

  shared(peers.command('add').argument('<peer>', 'the new peer', parsePeer).description('add a peer')).action(
    (peerId: PeerId, options: CommonOptions) =>
      runAction(options, (output) =>
        watchChange(output, options, 'add_peer', { peer_id: peerId, ...deadline(options) }),
      ),
  );
  shared(
    withYesOption(peers.command('remove'))
      .argument('<peer>', 'the peer to remove', parsePeer)
      .description('remove a peer'),
  ).action((peerId: PeerId, options: CommonOptions & ConfirmOptions) =>
    runAction(options, (output) => removeOne(output, options, peerId)),
  );
  shared(
    withYesOption(peers.command('change'))
      .argument('<peers...>', 'all peers of the new configuration, as words or with commas')
      .description('change to exactly these peers, in one step'),
  ).action((words: string[], options: CommonOptions & ConfirmOptions) =>
    runAction(options, async (output) => {
      const newPeers = parsePeers(words);
      await withAdminClient(options, async (adminClient) => {
        await confirmLess(output, options, await membersNow(adminClient, options), newPeers);
      });
      await watchChange(output, options, 'change_peers', { new_peers: newPeers, ...deadline(options) });
    }),
  );
  shared(
    peers
      .command('read-only')
      .argument('<peer>', 'which peer', parsePeer)
      .addArgument(new Argument('<on|off>', 'on: the peer stores no new entries').choices(['on', 'off']))
      .description('make a peer read-only, for instance because its disk is full, or end that; kept across restarts'),
  ).action((peerId: ReturnType<typeof parsePeer>, word: 'on' | 'off', options: CommonOptions) =>
    runAction(options, (output) => readOnly(output, options, peerId, word === 'on')),
  );
  registerPeersReset(peers);
  shared(peers.command('cancel').description('cancel the change in progress')).action((options: CommonOptions) =>
    runAction(options, (output) => cancel(output, options)),
  );
}

function deadline({ timeoutMs }: CommonOptions): { timeout_ms?: number } {
  return timeoutMs === undefined ? {} : { timeout_ms: timeoutMs };
}

/** Removes a member. For a peer that is not a member, prints that. */
async function removeOne(output: Output, options: CommonOptions & ConfirmOptions, peerId: PeerId): Promise<void> {
  const isMember = await withAdminClient(options, async (adminClient) => {
    const members = await membersNow(adminClient, options);
    const left = members.filter((member) => member !== peerId);
    if (left.length < members.length) await confirmLess(output, options, members, left);
    return left.length < members.length;
  });
  // The reply has the effective configuration, and nothing is changed.
  if (!isMember && !output.json) output.line(`${peerId} is no member of the group ${options.group}: nothing to do`);
  else await watchChange(output, options, 'remove_peer', { peer_id: peerId, ...deadline(options) });
}

/** Returns the members of the newest configuration that the leader has; during a change also the old members. */
async function membersNow(adminClient: AdminClient, { timeoutMs }: CommonOptions): Promise<PeerId[]> {
  const ask = () => adminClient.admin('status', {}, { timeoutMs: timeoutMs ?? askTimeoutMs });
  const { configuration } = await retryUntil('the group has a leader', leaderWaitMs, ask, isUnreachable);
  const { peers = [], old_peers: oldPeers = [] } = configuration ?? {};
  return [...new Set([...peerIds(oldPeers), ...peerIds(peers)])];
}

/** How many members may fail before the group stops. */
function tolerance(members: readonly PeerId[]): number {
  return Math.floor((members.length - 1) / 2);
}

async function confirmLess(
  output: Output,
  options: ConfirmOptions,
  members: readonly PeerId[],
  newPeers: readonly PeerId[],
): Promise<void> {
  const [before, after] = [tolerance(members), tolerance(newPeers)];
  // The group refuses an empty set.
  if (newPeers.length === 0 || after >= before) return;
  const what = `The group can lose ${count(before)} of ${peerSet(members)} and continue; of ${peerSet(newPeers)} it can lose ${after === 0 ? 'none' : count(after)}.`;
  await confirm(output, options, what);
}

/**
 * Requests a change and prints its progress; the reply arrives when the new configuration is committed.
 * @throws Interrupted on Ctrl-C: the group continues the change
 */
async function watchChange<C extends ChangeCommand>(
  output: Output,
  options: CommonOptions,
  command: C,
  request: AdminRequest<C>,
): Promise<void> {
  continueWithoutReader();
  await withAdminClient(options, async (adminClient) => {
    const began = performance.now();
    const view = new ChangeView(began);
    const bars = output.isTerminal && !output.json ? new LiveBars(output.out) : undefined;
    const print = (lines: readonly string[]): void => {
      if (output.json) return;
      if (bars === undefined) for (const line of lines) output.line(line);
      else bars.printAbove(lines);
    };
    const observing = observeGroup(adminClient, (event) => {
      if (output.json) output.record({ event: event.name, ...event.body });
      const lines = view.onEvent(event, performance.now());
      // The bars show the progress already.
      if (bars === undefined || event.name !== 'catchup_progress') print(lines);
    });
    const drawing = bars && setInterval(() => bars.draw(view, performance.now()), drawEveryMs);
    const asking = output.json ? undefined : setInterval(() => askLacking(adminClient, view, print), statusEveryMs);
    try {
      // Without this, a signal would end the process with the cursor hidden and the terminal cutting long lines.
      // Not SIGHUP: the terminal is gone then, and a command that was started to survive that (nohup) ignores it.
      const pending = askChange(adminClient, command, request, options.timeoutMs);
      const reply = await unlessStopped(pending, ['SIGINT', 'SIGTERM']);
      // Events that were published before the reply arrive before it on this connection.
      await adminClient.connection.flush();
      view.end(performance.now());
      bars?.draw(view, performance.now());
      bars?.stop();
      if (output.json) output.record(reply);
      else output.line(doneText(reply as ChangeReply, view, performance.now() - began));
    } catch (error) {
      bars?.stop();
      if (!(error instanceof Interrupted)) throw error;
      output.note(continuesText);
      throw new Interrupted(true);
    } finally {
      clearInterval(drawing);
      clearInterval(asking);
      bars?.stop();
      observing.close();
    }
  });
}

/** Sends the request; if there is no leader, waits for one. A repeated request changes the group once. */
async function askChange<C extends AdminCommand>(
  adminClient: AdminClient,
  command: C,
  request: AdminRequest<C>,
  timeoutMs: number = defaultTimes.changeTimeoutMs,
): Promise<AdminReply<C>> {
  const waitMs = timeoutMs + defaultTimes.jointTimeoutMs + graceMs;
  let wasHandedOver = false;
  return retryUntil(
    'the change is answered',
    leaderWaitMs,
    () => adminClient.admin(command, request, { timeoutMs: waitMs }),
    (error) => {
      if (!(error instanceof ConclaveError)) return false;
      // The leader stepped down during the change. The next leader must finish that change first.
      if (error.code === 'EPERM' && error.outcome === 'unknown') wasHandedOver = true;
      return error.code === 'EUNREACHABLE' || (wasHandedOver && (error.code === 'EPERM' || error.code === 'EBUSY'));
    },
  );
}

function askLacking(adminClient: AdminClient, view: ChangeView, print: (lines: readonly string[]) => void): void {
  adminClient.admin('status', {}, { timeoutMs: statusEveryMs }).then(
    (status) => print(view.onStatus(status)),
    // There is no leader at the moment: the events show when there is one.
    () => undefined,
  );
}

async function readOnly(output: Output, options: CommonOptions, peerId: PeerId, read_only: boolean): Promise<void> {
  await withAdminClient(options, async (adminClient) => {
    const timeoutMs = options.timeoutMs ?? askTimeoutMs;
    const reply = await adminClient.admin('read_only', { read_only }, { peerId, timeoutMs });
    if (output.json) return output.record(reply);
    const { reason } = reply;
    output.line(`${peerId} ${reason === '' ? 'stores entries' : `stores no entries: ${readOnlyText(reason)}`}`);
  });
}

async function cancel(output: Output, options: CommonOptions): Promise<void> {
  await withAdminClient(options, async (adminClient) => {
    const timeoutMs = options.timeoutMs ?? defaultTimes.jointTimeoutMs;
    const reply = await adminClient.admin('cancel_change', {}, { timeoutMs });
    if (output.json) return output.record(reply);
    output.line(`cancelled (${stageNames[reply.cancelled.stage]}): ${changeText(reply.cancelled)}`);
  });
}

function doneText(reply: ChangeReply, view: ChangeView, tookMs: number): string {
  const stages = view.stageTimes.map(({ stage, ms }) => `${stageNames[stage]} ${duration(ms)}`).join(', ');
  return `done: ${changeText(reply)} in ${duration(tookMs)}${stages === '' ? '' : ` (${stages})`}`;
}
