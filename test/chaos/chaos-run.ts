/** One chaos run: a mesh of real processes, clients, faults and an operator by the seed; then the final checks. */
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { ConclaveClient } from '@conclave/client';
import { checkHistory, historyBaseOf } from '@conclave/simulator';
import { Stops } from '../mesh/fault-mesh.js';
import { peersOf } from '../mesh/membership-stages.js';
import { makeFolder, removeFolder } from '../support/leftovers.js';
import type { Placement } from '../support/peers.js';
import { PlainClient } from '../support/plain-client.js';
import { ChaosMesh } from './chaos-mesh.js';
import { type ChaosPlan, describePlan, describeWiring, faultNames, peerNames, planChaos } from './chaos-plan.js';
import { EventWatch } from './event-watch.js';
import { Faults } from './faults.js';
import { Aftermath, differences, type Found } from './final-checks.js';
import { carryOut, connectVia, Load } from './load.js';
import { Operator } from './operator.js';
import { PlanClock } from './plan-clock.js';
import { Recorder } from './recorder.js';
import type { ChaosReport } from './report.js';

export interface ChaosOptions {
  readonly seed: number;
  /** How long faults happen. */
  readonly faultsMs: number;
  readonly placement: Placement;
  readonly clients: number;
  /** How long the group may take to recover, and for each request afterwards. */
  readonly comeBackMs: number;
  /** Whether logs, data and history are kept also of a run that passed. */
  readonly keep: boolean;
  /** Where those of a run that failed are kept. */
  readonly keepIn: string;
  /** Called with progress from time to time. */
  readonly onProgress?: (line: string) => void;
}

const foundingPeers = ['n1', 'n2', 'n3'];
const progressEveryMs = 10_000;
/** No new fault begins if no write has been acknowledged for this long; the longest faults last about as long. */
const heldAfterMs = 6000;
/** This many calls in a row must be done for the group to count as stable. */
const calmCalls = 300;
/** How many differences of a state are reported. */
const maxLines = 5;

export async function runChaos(options: ChaosOptions): Promise<ChaosReport> {
  const folder = makeFolder('chaos');
  const stops = new Stops();
  const run = new ChaosRun(options, folder, stops);
  try {
    await run.go();
  } finally {
    await stops.run();
  }
  const report = run.report();
  const kept = path.join(options.keepIn, `seed-${options.seed}-${new Date().toISOString().replaceAll(/[:.]/g, '-')}`);
  const keep = options.keep || !report.passed;
  if (keep) {
    run.writeFindings(report);
    mkdirSync(options.keepIn, { recursive: true });
    cpSync(folder, kept, { recursive: true });
  }
  removeFolder(folder);
  return keep ? { ...report, folder: kept } : report;
}

class ChaosRun {
  private readonly recorder = new Recorder((text) => this.note(text));
  private readonly problems: string[] = [];
  private readonly notes: string[] = [];
  private faultsSinceMs = 0;
  private heldMs = 0;
  private readonly plan: ChaosPlan;
  private mesh: ChaosMesh | undefined;
  private faults: Faults | undefined;
  private operator: Operator | undefined;
  private events: EventWatch | undefined;
  private once: ReadonlyMap<string, string> = new Map();
  private lost = 0;
  private longestWithoutWriteMs = 0;
  private cameBackAfterMs = -1;
  private finalPeers: readonly string[] = [];
  private judged = 'not at all';

  constructor(
    private readonly options: ChaosOptions,
    private readonly folder: string,
    private readonly stops: Stops,
  ) {
    this.plan = planChaos(options.seed, options.faultsMs);
  }

  async go(): Promise<void> {
    const { options, stops, recorder } = this;
    const { seed, clients } = options;
    const plan = this.plan;
    writeFileSync(path.join(this.folder, 'plan.txt'), describePlan(plan));
    const mesh = await ChaosMesh.start(
      { wiring: plan.wiring, placement: options.placement, folder: this.folder },
      stops,
    );
    this.mesh = mesh;
    const plain = await PlainClient.open(mesh.directUrls);
    stops.add(() => plain.close());
    const events = new EventWatch(plain.nats, path.join(this.folder, 'events.log'));
    this.events = events;
    stops.add(() => events.close());
    await plain.insist(`${foundingPeers[0]}.admin.bootstrap`, { peers: foundingPeers });
    const load = await Load.start({ seed, clients, urls: mesh.clientUrls, recorder });
    this.once = load.once;
    stops.add(() => load.stop());
    const asking = await connectVia(mesh.clientUrls);
    stops.add(() => asking.close());
    this.faults = new Faults(
      mesh,
      () => events.leader,
      (text) => this.note(text),
    );
    this.operator = new Operator(asking, (text) => this.note(text));
    await this.spoil(plan, this.faults, this.operator);
    const aftermath = new Aftermath(plain, options.comeBackMs);
    if (await this.comeBack(aftermath, this.faults, this.operator, load)) await this.look(aftermath, asking);
    await load.stop();
    this.judge();
    await this.endOfProcesses(mesh);
  }

  report(): ChaosReport {
    const { options, problems, recorder, faults, operator, mesh } = this;
    const counts = new Map(faultNames.map((name) => [name, { done: 0, skipped: 0 }]));
    for (const [name, count] of faults?.counts ?? []) counts.set(name, count);
    return {
      seed: options.seed,
      placement: options.placement === 'one' ? 'one process' : `${options.placement} processes`,
      wiring: describeWiring(this.plan.wiring),
      faultsMs: options.faultsMs,
      passed: problems.length === 0,
      problems,
      faults: Object.fromEntries(counts),
      commands: operator?.counts ?? {},
      events: this.events?.counts ?? {},
      calls: recorder.counts,
      codes: recorder.codes,
      heldMs: Math.round(this.heldMs),
      longestWithoutWriteMs: Math.round(this.longestWithoutWriteMs),
      cameBackAfterMs: Math.round(this.cameBackAfterMs),
      acknowledgedOnce: this.once.size,
      lost: this.lost,
      deaths: mesh?.deaths.length ?? 0,
      finalPeers: this.finalPeers,
      judged: this.judged,
    };
  }

  /** What is needed to find the cause. */
  writeFindings(report: ChaosReport): void {
    const lines = (items: readonly unknown[]) => items.map((item) => `${JSON.stringify(item)}\n`).join('');
    writeFileSync(path.join(this.folder, 'report.json'), JSON.stringify(report, undefined, 2));
    writeFileSync(path.join(this.folder, 'history.jsonl'), lines(this.recorder.history));
    writeFileSync(path.join(this.folder, 'faults.log'), this.notes.map((note) => `${note}\n`).join(''));
    writeFileSync(path.join(this.folder, 'deaths.json'), JSON.stringify(this.mesh?.deaths ?? [], undefined, 2));
  }

  /** The time of faults. A group that does not serve for a while is left alone until it does. */
  private async spoil(plan: ChaosPlan, faults: Faults, operator: Operator): Promise<void> {
    const { recorder, options } = this;
    const due = [
      ...plan.faults.map((fault) => ({ atMs: fault.atMs, happen: () => faults.begin(fault) })),
      ...plan.commands.map(({ atMs, command }) => ({ atMs, happen: () => operator.begin(command) })),
    ];
    recorder.startWatch();
    this.faultsSinceMs = performance.now();
    const clock = new PlanClock(due, () => recorder.sinceLastWriteMs() > heldAfterMs);
    const progress = setInterval(() => this.tellProgress(), progressEveryMs);
    const untilMs = this.faultsSinceMs + options.faultsMs;
    while (performance.now() < untilMs && recorder.sinceLastWriteMs() < heldAfterMs + options.comeBackMs) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    clock.stop();
    clearInterval(progress);
    this.heldMs = clock.heldMs;
    this.longestWithoutWriteMs = recorder.longestWithoutWriteMs();
    if (recorder.sinceLastWriteMs() > options.comeBackMs)
      this.fail('left alone, the group did not serve again in time');
  }

  /** Ends the faults; returns whether the group has recovered and serves clients normally. */
  private async comeBack(aftermath: Aftermath, faults: Faults, operator: Operator, load: Load): Promise<boolean> {
    const endMs = performance.now();
    this.note('the end of the faults');
    const commandsEnd = operator.end();
    const { comeBackMs } = this.options;
    const allThere = await within(comeBackMs, faults.end());
    if (!allThere) return this.fail(`not all processes and servers were ready within ${comeBackMs} ms`);
    for (const error of faults.errors) this.fail(`a fault could not be carried out: ${error}`);
    try {
      await aftermath.atRest();
      this.cameBackAfterMs = performance.now() - endMs;
      this.note('at rest');
      await commandsEnd;
      await aftermath.stable(() => this.calm());
      await load.stop();
      return true;
    } catch (error) {
      return this.fail(describe(error));
    }
  }

  /** Whether the clients' next calls are all done. */
  private async calm(): Promise<boolean> {
    const { history } = this.recorder;
    const from = history.length;
    while (history.length < from + calmCalls) await new Promise((resolve) => setTimeout(resolve, 20));
    // Calls that began before may still fail.
    const firstCalled = history[from]?.returned ?? 0;
    return history.slice(from).every(({ called, outcome }) => called < firstCalled || outcome === 'done');
  }

  /** Checks that each member has all acknowledged writes, and after a change to all peers each peer. */
  private async look(aftermath: Aftermath, client: ConclaveClient): Promise<void> {
    try {
      const keys = [...new Set(this.recorder.history.map(({ key }) => key))];
      const wanted = await this.readAll(client, keys);
      const status = await aftermath.atRest();
      this.finalPeers = peersOf(status);
      await this.compare(aftermath, this.finalPeers, keys, wanted);
      await aftermath.change(peerNames);
      await this.compare(aftermath, peerNames, keys, wanted);
    } catch (error) {
      this.fail(describe(error));
    }
  }

  /** Linearizable reads of all keys, in the history. */
  private async readAll(client: ConclaveClient, keys: readonly string[]): Promise<Map<string, Found>> {
    const wanted = new Map<string, Found>();
    await Promise.all(
      keys.map(async (key) => {
        const call = { name: 'get', key } as const;
        const answer = await this.recorder.record('end', call, () => carryOut(client, call));
        if (answer === undefined || !('value' in answer)) throw new Error(`${key} could not be read in the end`);
        wanted.set(key, [answer.value, answer.revision]);
      }),
    );
    return wanted;
  }

  private async compare(
    aftermath: Aftermath,
    peers: readonly string[],
    keys: readonly string[],
    wanted: ReadonlyMap<string, Found>,
  ): Promise<void> {
    for (const peer of peers) {
      const state = await aftermath.stateOf(peer, keys);
      const lines = differences(peer, state, wanted);
      if (lines.length > 0) this.fail(`${peer} has another state: ${few(lines)}`);
      const lost = [...this.once].filter(([key, value]) => state.get(key)?.[0] !== value);
      if (lost.length > 0) this.fail(`${lost.length} acknowledged writes are not at ${peer}: ${few(lost.map(String))}`);
      this.lost = Math.max(this.lost, lost.length);
    }
  }

  private judge(): void {
    const { recorder } = this;
    for (const error of [...recorder.errors, ...(this.operator?.errors ?? [])]) this.fail(`a client threw: ${error}`);
    const revisions = recorder.history.map((one) => (one.outcome === 'done' ? one.reply.revision : 0));
    const base = historyBaseOf(revisions);
    const judgement = checkHistory(recorder.history, { allWritesRecorded: true, base });
    this.judged = `${judgement.verdict}, ${recorder.history.length} calls`;
    if (judgement.verdict !== 'linearizable') this.fail(judgement.report);
  }

  private async endOfProcesses(mesh: ChaosMesh): Promise<void> {
    await mesh.stopPeers();
    for (const { process, exit, log } of mesh.deaths)
      this.fail(`${process} ended with ${exit}; its last words:\n${log}`);
  }

  private tellProgress(): void {
    const { counts, history } = this.recorder;
    const seconds = Math.round((performance.now() - this.faultsSinceMs) / 1000);
    const broken = this.faults?.broken ?? [];
    this.options.onProgress?.(
      `${String(seconds).padStart(5)} s  ${history.length} calls (${counts.put.done} puts done)  leader ${this.events?.leader ?? 'none'}  ` +
        `broken: ${broken.join(', ') || 'nothing'}`,
    );
  }

  private note(text: string): void {
    this.notes.push(`${new Date().toISOString()} ${text}`);
  }

  private fail(problem: string): false {
    this.problems.push(problem);
    this.note(`PROBLEM: ${problem}`);
    return false;
  }
}

async function within(ms: number, work: Promise<unknown>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), ms);
  });
  const inTime = await Promise.race([work.then(() => true as const), late]);
  clearTimeout(timer);
  return inTime;
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause === undefined ? error.message : `${error.message}: ${describe(error.cause)}`;
}

function few(lines: readonly string[]): string {
  const more = lines.length > maxLines ? `; and ${lines.length - maxLines} more` : '';
  return lines.slice(0, maxLines).join('; ') + more;
}
