/**
 * Measures the cost of membership changes, leadership transfers and crashes for writers: the longest time without an
 * acknowledgement, the 99th percentile of the latency, and failed calls. Each row is compared with a row of the same run in which
 * nothing happens.
 * There are five peers of four processes each, and writers that write continuously through one client. A row is a number of
 * windows of at least two seconds. Each window begins with the request of a change (or with a crash), and ends at least a second
 * after its reply. Between two windows the group is changed back to the members with which the row begins.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { ConclaveClient } from '@conclave/client';
import { asGroupId, ConclaveError, defaultPrefix, type PeerId, peerIds, type StatusReply } from '@conclave/protocol';
import type { LoginFlags } from '../login.js';
import type { Output } from '../output.js';
import type { CleanUp } from '../processes/clean-up.js';
import { foundGroup, type Mesh, makeMesh, namedOrOwnNats, peerNames, refuseSecondMesh } from '../processes/mesh.js';
import { isTransient, retryUntil } from '../retry-until.js';
import { count } from '../views/format.js';
import {
  type ChangeFigures,
  type ChangeRow,
  changeRecord,
  changeRowTexts,
  changeTable,
  type GroupView,
  killRows,
  membersBefore,
  type Step,
  selectChangeRows,
  stepOf,
} from './change-rows.js';
import { GapMeter } from './gap-meter.js';
import { scratchFolder } from './scratch-folder.js';
import { Latencies } from './statistics.js';
import { WriteLoad } from './write-load.js';

const groupId = asGroupId('bench');
const prefix = `${defaultPrefix}-change`;
const valueBytes = 128;
const keys = 10_000;
const all = peerNames(5);
const windowMs = 2_000;
/** How long a window continues after the reply: the cost of a change may come late. */
const afterReplyMs = 1_000;
const settleMs = 1_000;
const changeTimeoutMs = 60_000;
const recoverTimeoutMs = 60_000;
const statusTimeoutMs = 2_000;

export interface ChangeBenchOptions extends LoginFlags {
  readonly tls?: boolean;
  readonly rows: readonly string[];
  readonly writers: readonly number[];
  /** Windows of a row, except for the rows in which the leader is killed. */
  readonly changes: number;
  readonly kills: number;
  readonly warmUpSeconds: number;
  readonly dataDir: string;
}

type Unbeside = Omit<ChangeFigures, 'unchanged'>;

/** Runs the rows and prints them. */
export async function benchChange(cleanUp: CleanUp, output: Output, options: ChangeBenchOptions): Promise<void> {
  const rows = selectChangeRows(options.rows);
  const folder = scratchFolder(cleanUp, options.dataDir, 'bench-change-');
  const login = await namedOrOwnNats(cleanUp, options, folder);
  const mesh = await makeMesh(cleanUp, login, { groupId, prefix, placement: 'four', folder }, (text) =>
    output.note(text),
  );
  await refuseSecondMesh(mesh.adminClient, all);
  await mesh.processes.start(all);
  await foundGroup(mesh, all.slice(0, 3));
  const client = await ConclaveClient.connect({ connection: mesh.adminClient.connection, groupId, prefix });
  cleanUp.add(() => client.close());
  const bench = new ChangeBench(mesh, output, options, (number, value) => client.kv.put(`key-${number % keys}`, value));
  await bench.warmUp();
  const figures: Unbeside[] = [];
  for (const ofRows of [rows.filter((row) => !killRows.includes(row)), rows.filter((row) => killRows.includes(row))]) {
    for (const writers of options.writers) figures.push(...(await bench.measureRows(ofRows, writers)));
  }
  show(output, beside(figures, options.writers));
}

class ChangeBench {
  private readonly value = new Uint8Array(valueBytes).fill(0x78);

  constructor(
    private readonly mesh: Mesh,
    private readonly output: Output,
    private readonly options: ChangeBenchOptions,
    private readonly put: (number: number, value: Uint8Array) => Promise<unknown>,
  ) {}

  async warmUp(): Promise<void> {
    const load = this.load(Math.max(...this.options.writers), new GapMeter(performance.now()));
    await sleep(1000 * this.options.warmUpSeconds);
    await load.stop();
  }

  private load(writers: number, meter: GapMeter): WriteLoad {
    return new WriteLoad(writers, (number) => this.put(number, this.value), meter);
  }

  /** Measures rows one after the other, with this many writers. */
  async measureRows(rows: readonly ChangeRow[], writers: number): Promise<Unbeside[]> {
    if (rows.length === 0) return [];
    const meter = new GapMeter(performance.now());
    const load = this.load(writers, meter);
    const figures: Unbeside[] = [];
    try {
      for (const row of rows) figures.push(await this.measureRow(row, writers, meter));
    } finally {
      await load.stop();
    }
    return figures;
  }

  private async measureRow(row: ChangeRow, writers: number, meter: GapMeter): Promise<Unbeside> {
    const latencies = new Latencies();
    const gapsMs: number[] = [];
    let failed = 0;
    const times = row === 'leader-killed' ? this.options.kills : this.options.changes;
    for (let round = 0; round < times; round++) {
      await this.prepare(row);
      const step = stepOf(row, await this.view(), round);
      if (step.type === 'kill') await this.untilDispensable(step.peerId);
      meter.begin(latencies);
      failed += await this.window(step);
      const window = meter.end(performance.now());
      gapsMs.push(window.longestGapMs);
      failed += window.failed;
      if (step.type === 'kill') await this.startAgain(step.peerId);
    }
    const [p99Ms = Number.NaN] = latencies.percentiles(0.99);
    const { output } = this;
    if (!output.json) {
      const gaps = gapsMs.map((gapMs) => gapMs.toFixed(0)).join(' ');
      output.note(`${count(writers)} writers, ${changeRowTexts[row]}: gaps of ${gaps} ms, ${failed} failed`);
    }
    return { row, writers, gapsMs, p99Ms, failed };
  }

  /** Changes the group to the members with which the row begins, and waits until all are healthy. */
  private async prepare(row: ChangeRow): Promise<void> {
    const view = await this.view();
    const members = membersBefore(row, view);
    if (members.some((peerId) => !view.members.includes(peerId)) || members.length !== view.members.length) {
      await this.change(members);
    }
    await sleep(settleMs);
  }

  /**
   * Waits until the peer may be stopped. If another peer still catches up, writes would wait for that peer instead of for an
   * election.
   */
  private async untilDispensable(peerId: PeerId): Promise<void> {
    await retryUntil(
      `status reports that ${peerId} may be restarted`,
      recoverTimeoutMs,
      async () => ((await this.status()).restart.some((row) => row.peer_id === peerId && row.may) ? true : undefined),
      isTransient,
    );
  }

  /** Does the action and waits for its end. Returns the number of rejected commands. */
  private async window(step: Step): Promise<number> {
    const began = performance.now();
    const refused = await this.act(step).then(
      () => 0,
      (error: unknown) => {
        if (!(error instanceof ConclaveError)) throw error;
        this.output.note(`${error.code}: ${error.message}`);
        return 1;
      },
    );
    const repliedMs = performance.now();
    await sleep(Math.max(began + windowMs, repliedMs + afterReplyMs) - repliedMs);
    return refused;
  }

  private async act(step: Step): Promise<void> {
    switch (step.type) {
      case 'nothing':
        return;
      case 'change':
        return this.change(step.newPeers);
      case 'transfer':
        await this.mesh.adminClient.admin('transfer_leader', { peer_id: step.to }, { timeoutMs: changeTimeoutMs });
        return;
      case 'kill':
        await this.mesh.processes.kill(step.peerId);
        // A peer that has not noticed the death of the leader still names it as leader.
        await retryUntil(
          'another peer leads',
          recoverTimeoutMs,
          async () => {
            const { leader_id: leader } = await this.status();
            return leader === step.peerId ? undefined : true;
          },
          isTransient,
        );
    }
  }

  private async change(newPeers: readonly PeerId[]): Promise<void> {
    await this.mesh.adminClient.admin(
      'change_peers',
      { new_peers: [...newPeers], timeout_ms: changeTimeoutMs },
      { timeoutMs: 2 * changeTimeoutMs },
    );
  }

  private async startAgain(peerId: PeerId): Promise<void> {
    await this.mesh.processes.start([peerId]);
    const { last_index: end } = await this.settledStatus();
    await retryUntil(
      `${peerId} has entry ${end}`,
      recoverTimeoutMs,
      async () => {
        const { progress } = await this.status();
        const match = progress.find((target) => target.peer_id === peerId)?.match_index ?? 0;
        return match >= end ? true : undefined;
      },
      isTransient,
    );
  }

  private status(): Promise<StatusReply> {
    return this.mesh.adminClient.admin('status', {}, { timeoutMs: statusTimeoutMs });
  }

  /** Returns the status of a leader that may accept a change. */
  private settledStatus(): Promise<StatusReply> {
    const settled = async (): Promise<StatusReply | undefined> => {
      const status = await this.status();
      return status.stage === 'none' && status.leader_id === status.peer_id ? status : undefined;
    };
    return retryUntil('the group has a leader and no change is in progress', recoverTimeoutMs, settled, isTransient);
  }

  private async view(): Promise<GroupView> {
    const { peer_id: leader, configuration } = await this.settledStatus();
    return { leader, members: peerIds(configuration?.peers ?? []), all };
  }
}

/** Adds the row without a change to each row, ordered by the number of writers. */
function beside(figures: readonly Unbeside[], writers: readonly number[]): ChangeFigures[] {
  return writers.flatMap((howMany) => {
    const ofWriters = figures.filter((row) => row.writers === howMany);
    const unchanged = ofWriters.find(({ row }) => row === 'no-change');
    return unchanged === undefined ? [] : ofWriters.map((row) => ({ ...row, unchanged }));
  });
}

function show(output: Output, rows: readonly ChangeFigures[]): void {
  if (output.json) {
    for (const row of rows) output.record(changeRecord(row));
    return;
  }
  output.line(
    `\nfive peers of four processes, ${valueBytes}-byte values; gap: the median of the longest times without`,
  );
  output.line('an acknowledgement; unchanged: the row without a change; see docs/benchmarks.md\n');
  output.line(changeTable(rows));
}
