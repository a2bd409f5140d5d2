/** `conclave restart`: restarts the peers one after the other, while the groups accept writes. */
import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type AdminReply,
  allMembers,
  ConclaveError,
  type GroupId,
  type PeerId,
  peerIds,
  type Restart,
} from '@conclave/protocol';
import { type Command, Option } from 'commander';
import type { AdminClient } from '../admin-client.js';
import { continueWithoutReader } from '../closed-output.js';
import { withAdminClient } from '../connection.js';
import { exitCodes, Failed, UsageError } from '../exit-codes.js';
import { type CommonOptions, parsePeers, splitList, withCommonOptions } from '../options.js';
import type { Output } from '../output.js';
import { runAction } from '../run-action.js';
import { printProblem } from '../terminal-text.js';
import { duration } from '../views/format.js';

/** How long each step of a restart may take: waiting for the permission, and for the peer's return. */
const defaultTimeoutMs = 120_000;
const askTimeoutMs = 2_000;
const transferMs = 10_000;
const pauseMs = 250;
/** A wait that takes longer prints its reason. */
const noteAfterMs = 2_000;
const defaultCompose = 'docker compose';

interface RestartOptions extends CommonOptions {
  readonly run?: string;
  readonly compose?: string | true;
  readonly peers: readonly string[];
}

/** What to restart, and how. */
interface Steps {
  readonly group: GroupId;
  readonly timeoutMs?: number;
  /** Returns the shell command that restarts a peer. */
  readonly command: (peerId: PeerId) => string;
  /** Undefined: all members. */
  readonly peers: readonly PeerId[] | undefined;
}

type Status = AdminReply<'status'>;

export function registerRestart(program: Command): void {
  withCommonOptions(
    program
      .command('restart')
      .option(
        '--run <command>',
        'a shell command that restarts a peer: `{peer}` in it is replaced by its name, for instance "systemctl restart conclave@{peer}"',
      )
      .addOption(
        new Option(
          '--compose [command]',
          'restart the four services of each peer as docker-compose.yml names them, with the current settings',
        ).conflicts('run'),
      )
      .option('--peers <names>', 'only these peers, separated by commas (default: all members)', splitList, [])
      .description(
        'restart the members one after the other, the leader last, after it has transferred its leadership; each only when `status` allows it, for all groups that it hosts. It stops at the first failure. --timeout-ms: for each step (120000)',
      ),
  ).action((options: RestartOptions) =>
    runAction(options, async (output) => {
      const command = commandOf(options);
      const peers = options.peers.length > 0 ? parsePeers(options.peers) : undefined;
      await withAdminClient(options, (adminClient) =>
        new RollingRestart(adminClient, output, { ...options, command, peers }).run(),
      );
    }),
  );
}

class RollingRestart {
  private readonly timeoutMs: number;

  constructor(
    private readonly adminClient: AdminClient,
    private readonly output: Output,
    private readonly steps: Steps,
  ) {
    this.timeoutMs = steps.timeoutMs ?? defaultTimeoutMs;
  }

  async run(): Promise<void> {
    continueWithoutReader();
    const status = await this.ask(this.adminClient);
    const members = peerIds(status.configuration?.peers ?? []);
    const wanted = this.steps.peers ?? members;
    const strangers = wanted.filter((peerId) => !members.includes(peerId));
    if (strangers.length > 0) throw new UsageError(`${strangers.join(', ')}: not a member of ${this.steps.group}`);
    const order = wanted.toSorted(
      (one, other) => Number(one === status.leader_id) - Number(other === status.leader_id),
    );
    for (const [at, peerId] of order.entries()) {
      const began = performance.now();
      await this.restart(peerId);
      const tookMs = performance.now() - began;
      if (this.output.json) this.output.record({ peer_id: peerId, restarted: true, ms: Math.round(tookMs) });
      else this.output.line(`${peerId}: is back, ${duration(tookMs)} (${at + 1} of ${order.length})`);
    }
  }

  private async restart(peerId: PeerId): Promise<void> {
    const groups = await this.groupsOf(peerId);
    for (const group of groups) await this.transferLeadership(group, peerId);
    for (const group of groups) await this.untilAllowed(group, peerId);
    const sessions = await Promise.all(groups.map((group) => this.sessionOf(group, peerId)));
    const command = this.steps.command(peerId);
    this.print(`${peerId}: ${command}`);
    await runShell(command, peerId);
    for (const [at, group] of groups.entries()) await this.untilBack(group, peerId, sessions[at] as number);
  }

  /** The process of its log-stores knows which groups a peer hosts. */
  private async groupsOf(peerId: PeerId): Promise<AdminClient[]> {
    try {
      return await this.adminClient.hostedGroups({ peerId, timeoutMs: askTimeoutMs });
    } catch (error) {
      if (!(error instanceof ConclaveError)) throw error;
      const text = `stopped: the log-store of ${peerId} does not reply which groups the peer hosts`;
      throw new ConclaveError(error.code, `${text} (${error.message}); see conclave health --peer ${peerId}`);
    }
  }

  private async transferLeadership(group: AdminClient, peerId: PeerId): Promise<void> {
    const { leader_id } = await this.ask(group);
    if (leader_id !== peerId) return;
    await group.admin('transfer_leader', { timeout_ms: transferMs }, { timeoutMs: transferMs + 1_000 });
    const { leader_id: next } = await this.until(
      group,
      `${peerId} transfers the leadership of ${group.groupId}`,
      (status) => (status.leader_id === peerId ? `${peerId} still leads` : undefined),
    );
    this.print(`${peerId}: has transferred the leadership of ${group.groupId} to ${next}`);
  }

  private async untilAllowed(group: AdminClient, peerId: PeerId): Promise<void> {
    await this.until(group, `${peerId} may be restarted`, ({ restart }) => reasonAgainst(restart, peerId));
  }

  /**
   * Waits until the peer's node has opened its store again, is healthy, and counts as available. In a group from which the peer was
   * removed, and which it still hosts, its node is unhealthy all the time.
   */
  private async untilBack(group: AdminClient, peerId: PeerId, session: number): Promise<void> {
    const { configuration } = await this.ask(group);
    const isMember = configuration !== null && peerIds(allMembers(configuration)).includes(peerId);
    await this.until(
      group,
      `${peerId} is back`,
      ({ health, session: now }) => {
        if (isMember && !health.healthy) return `unhealthy: ${health.reason}`;
        return now === session ? 'the command is over, and its node still runs as before' : undefined;
      },
      peerId,
    );
    await this.until(group, `${peerId} counts again`, ({ restart, leader_id }) => {
      if (leader_id === peerId) return undefined;
      return restart.some(({ peer_id }) => peer_id === peerId) ? reasonAgainst(restart, peerId) : undefined;
    });
  }

  private async sessionOf(group: AdminClient, peerId: PeerId): Promise<number> {
    return (await group.admin('status', {}, { peerId, timeoutMs: askTimeoutMs })).session;
  }

  private ask(group: AdminClient): Promise<Status> {
    return this.until(group, 'the group has a leader', () => undefined);
  }

  /**
   * Requests the status repeatedly until `reasonOf` finds no reason against it. Prints the reason if that takes long, and each other reason once.
   * @throws ConclaveError EBUSY with the last reason
   */
  private async until(
    group: AdminClient,
    what: string,
    reasonOf: (status: Status) => string | undefined,
    peerId?: PeerId,
  ): Promise<Status> {
    const began = performance.now();
    const deadline = began + this.timeoutMs;
    const noted = new Set<string>();
    for (let reason: string | undefined = 'it was not asked'; ; ) {
      try {
        const where = peerId === undefined ? {} : { peerId };
        const status = await group.admin('status', {}, { ...where, timeoutMs: askTimeoutMs });
        reason = reasonOf(status);
        if (reason === undefined) return status;
      } catch (error) {
        if (!(error instanceof ConclaveError)) throw error;
        reason = `${error.code}: ${error.message}`;
      }
      if (performance.now() + pauseMs > deadline) {
        throw new ConclaveError(
          'EBUSY',
          `stopped, not within ${this.timeoutMs} ms: ${what} (${group.groupId}): ${reason}`,
        );
      }
      // How long a peer has been silent, for example, is another number each time.
      const kind = reason.replace(/\d+/g, '');
      if (!noted.has(kind) && performance.now() - began > noteAfterMs) {
        noted.add(kind);
        this.output.note(`conclave: waiting until ${what} (${group.groupId}): ${reason}`);
      }
      await sleep(pauseMs);
    }
  }

  private print(text: string): void {
    if (!this.output.json) this.output.line(text);
  }
}

function reasonAgainst(restarts: readonly Restart[], peerId: PeerId): string | undefined {
  const advice = restarts.find(({ peer_id }) => peer_id === peerId);
  // A peer that is in no configuration of the group may be restarted at any time.
  return advice === undefined || advice.may ? undefined : advice.reason;
}

/** The command that restarts a peer. */
function commandOf({ run, compose }: RestartOptions): (peerId: PeerId) => string {
  if (run !== undefined) return (peerId) => run.replaceAll('{peer}', peerId);
  if (compose === undefined) throw new UsageError('give --run or --compose: how to restart a peer');
  const services = ['log-store', 'node', 'replicator', 'ballot-box'].map((actor) => `{peer}-${actor}`).join(' ');
  const words = `${compose === true ? defaultCompose : compose} up -d --no-deps --force-recreate ${services}`;
  return (peerId) => words.replaceAll('{peer}', peerId);
}

/**
 * Resolves when the command has succeeded.
 * @throws Failed if it has failed; the reason is printed already
 */
async function runShell(command: string, peerId: PeerId): Promise<void> {
  const child = spawn(command, {
    shell: true,
    stdio: ['ignore', process.stderr, process.stderr],
    env: { ...process.env, CONCLAVE_PEER: peerId },
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  if (code === 0) return;
  printProblem(`stopped: the command for ${peerId} ended with ${code ?? 'a signal'}: ${command}`);
  throw new Failed(exitCodes.failed);
}
