/** A run: the mesh, its clients, the invariants, and the execution of a script on them. */
import type { PeerId } from '@conclave/protocol';
import { VirtualClients } from '../clients/virtual-clients.js';
import { allInvariants, type Invariants } from '../invariants/all-invariants.js';
import type { Command, PeersCommand, ResetSurvivorsCommand } from '../language/command.js';
import { formatCommand } from '../language/format-command.js';
import { ScriptError } from '../language/tokens.js';
import { type CoreSettings, usualSettings } from '../mesh/core-factory.js';
import { CoreMesh } from '../mesh/core-mesh.js';
import type { Random } from '../mesh/random.js';
import { type Backup, Backups } from './backups.js';
import { Executor } from './executor.js';
import { LivenessPhase } from './liveness-phase.js';
import { hasAbandonedHistory, isHeldBack } from './peers-without-election.js';
import { QuorumView } from './quorum-view.js';
import { SurvivorReset } from './reset-survivors.js';
import type { RunContext } from './run-context.js';

/** The timeout of a bootstrap: it asks all peers for three election timeouts, or longer if messages are lost. */
const foundingMs = 8000;
/** Within this time a started node opens its log-store. */
const openMs = 300;

export class Simulation implements RunContext {
  readonly mesh: CoreMesh;
  readonly clients: VirtualClients;
  invariants: Invariants;
  readonly quorums: QuorumView;
  /** Called with each command before it is executed. */
  onCommand: ((command: Command) => void) | undefined;
  private readonly executor: Executor;
  private readonly slowerPeer: PeerId | undefined;
  private readonly backups = new Backups(this);

  /**
   * @param seed of the run's randomness: delays, losses, what survives a crash
   * @param random the source of randomness, if not the seed
   */
  constructor(command: PeersCommand, seed: number, random?: Random) {
    const { peers } = command;
    const settings = settingsOf(command);
    this.mesh = new CoreMesh(peers as PeerId[], seed, settings, random);
    this.mesh.requests.reports = 'connections_and_cuts';
    this.slowerPeer = settings.slowerPeer;
    this.invariants = this.watch();
    this.clients = new VirtualClients(this.mesh);
    this.quorums = new QuorumView(this.mesh);
    const quiesce = () => new LivenessPhase(this).run();
    const survivorReset = new SurvivorReset(this);
    const resetSurvivors = ({ alone, now }: ResetSurvivorsCommand) => survivorReset.run(alone, now);
    const recreate = (peers: readonly PeerId[], withBackup: boolean) => this.recreateGroup(peers, withBackup);
    const backup = (peerId: PeerId) => this.backups.read(peerId);
    const procedures = {
      quiesce,
      resetSurvivors,
      recreate,
      backup,
      isHeldBack: (peerId: PeerId) =>
        survivorReset.keepsDown(peerId) || isHeldBack(this.mesh, this.invariants.record, peerId),
      hasAbandonedHistory: (peerId: PeerId) => hasAbandonedHistory(this.mesh, this.invariants.record, peerId),
    };
    this.executor = new Executor(this.mesh, this.clients, this.quorums, procedures);
  }

  /** Creates the invariants that observe the run from now on. @param before the invariants of the history that has ended */
  private watch(before?: Invariants): Invariants {
    const invariants = allInvariants(before);
    invariants.record.clocks = this.mesh.clocks;
    invariants.record.slowerPeer = this.slowerPeer;
    this.mesh.observer = invariants;
    return invariants;
  }

  /** Records which histories continue earlier ones, after resets and restores. Called before the clients are checked. */
  recordContinuingHistories(): void {
    const { resets, restored } = this.invariants.record;
    const { history } = this.clients;
    for (const groupUid of [...resets.keys(), ...restored]) history.continuing.add(groupUid);
    for (const groupUid of restored) {
      if (!history.restored.has(groupUid)) this.mesh.coverage.count('group restored from a backup');
      history.restored.add(groupUid);
    }
  }

  /**
   * Deletes the group at all peers at once and creates it again under its name: empty (`bootstrap --new`) or from the last backup. Its
   * clients continue. Invariants end with the deleted history, except those that span histories.
   */
  private recreateGroup(founders: readonly PeerId[], withBackup: boolean): void {
    const { mesh, clients } = this;
    const [at] = founders;
    const backup = withBackup ? this.backups.last : undefined;
    if (at === undefined || this.invariants.record.commits.last === undefined) return;
    if (withBackup && backup === undefined) return;
    for (const peerId of mesh.peers) mesh.crashPeer(peerId);
    for (const peerId of mesh.peers) mesh.disks.wipe(peerId);
    this.recordContinuingHistories();
    this.invariants = this.watch(this.invariants);
    for (const peerId of mesh.peers) mesh.startPeer(peerId);
    if (backup !== undefined) return this.restore(backup, founders);
    mesh.coverage.count('group deleted and created again');
    // The nodes have to open their log-stores first.
    mesh.after(openMs, () =>
      clients.operate({ type: 'bootstrap', at, peers: founders, timeout: foundingMs, isNew: true }),
    );
  }

  private restore(backup: Backup, founders: readonly PeerId[]): void {
    const { mesh, invariants } = this;
    const restoreId = this.backups.nextId();
    invariants.record.restoring = { restoreId, last: backup.last };
    mesh.coverage.count('group deleted, and its backup is to be restored');
    mesh.after(openMs, () => {
      if (this.invariants === invariants) this.backups.restore(restoreId, backup, founders);
    });
  }

  execute(command: Command): void {
    this.mesh.trace?.(`${this.mesh.time()} # ${formatCommand(command)}`);
    this.onCommand?.(command);
    this.executor.execute(command);
  }
}

function slowerPeerOf({ peers, slower = 0 }: PeersCommand): PeerId | undefined {
  return peers[slower - 1] as PeerId | undefined;
}

function settingsOf(command: PeersCommand): CoreSettings {
  const { session, wire, snapshot, every, keep, chunk, pace, old, settle } = command;
  return {
    build: old !== undefined && old > 0 ? 'old' : usualSettings.build,
    levelSettleMs: settle ?? usualSettings.levelSettleMs,
    slowerPeer: slowerPeerOf(command),
    clientSessionMs: session ?? usualSettings.clientSessionMs,
    wire: wire !== undefined && wire > 0,
    snapshotLogBytes: snapshot ?? usualSettings.snapshotLogBytes,
    snapshotIntervalMs: every ?? usualSettings.snapshotIntervalMs,
    snapshotMarginEntries: keep ?? usualSettings.snapshotMarginEntries,
    snapshotChunkBytes: chunk ?? usualSettings.snapshotChunkBytes,
    snapshotBytesPerSecond: pace ?? usualSettings.snapshotBytesPerSecond,
  };
}

/**
 * Executes a script.
 * @param onBegin called with the run before anything happens in it
 * @throws InvariantViolation; ScriptError if the script is not valid
 */
export function runScript(
  script: readonly Command[],
  seed: number,
  onBegin: (simulation: Simulation) => void = () => {},
): Simulation {
  const [first, ...others] = script;
  if (first?.type !== 'peers') throw new ScriptError('a script begins with its peers');
  const simulation = new Simulation(first, seed);
  onBegin(simulation);
  for (const command of others) simulation.execute(command);
  return simulation;
}
