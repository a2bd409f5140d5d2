/** A run: the mesh, its clients, who watches, and a script that is carried out on them. */
import type { PeerId } from '@conclave/protocol';
import { VirtualClients } from '../clients/virtual-clients.js';
import { allInvariants, type Invariants } from '../invariants/all-invariants.js';
import { type CoreSettings, usualSettings } from '../mesh/core-factory.js';
import { CoreMesh } from '../mesh/core-mesh.js';
import type { Random } from '../mesh/random.js';
import type { Command, PeersCommand, RescueCommand } from '../script/command.js';
import { Executor } from '../script/executor.js';
import { formatCommand } from '../script/format-command.js';
import { ScriptError } from '../script/words.js';
import { CalmPhase } from './calm-phase.js';
import { QuorumView } from './quorum-view.js';
import { Rescue } from './rescue.js';

/** Everybody is asked for three election timeouts, and once more where something was lost. */
const foundingMs = 8000;
const openMs = 300;

export class Simulation {
  readonly mesh: CoreMesh;
  readonly clients: VirtualClients;
  invariants: Invariants;
  readonly quorums: QuorumView;
  private readonly executor: Executor;
  private readonly slowerPeer: PeerId | undefined;
  /** Whether the group came back when all was well; undefined: nobody has looked. */
  cameBack: boolean | undefined;

  /**
   * @param seed of the chance in the run: delays, losses, what survives a crash
   * @param random the chance itself, where it is not to come from the seed
   */
  constructor(command: PeersCommand, seed: number, random?: Random) {
    const { peers } = command;
    const settings = settingsOf(command);
    this.mesh = new CoreMesh(peers as PeerId[], seed, settings, random);
    this.slowerPeer = settings.slowerPeer;
    this.invariants = this.watch();
    this.clients = new VirtualClients(this.mesh);
    this.quorums = new QuorumView(this.mesh);
    const calm = () => {
      this.cameBack = new CalmPhase(this).run();
    };
    const rescue = ({ alone, now }: RescueCommand) => new Rescue(this).run(alone, now);
    const anew = (peers: readonly PeerId[]) => this.beginAnew(peers);
    this.executor = new Executor(this.mesh, this.clients, this.quorums, { calm, rescue, anew });
  }

  /** Has the invariants follow the run from now on. @param before those of the history that is gone */
  private watch(before?: Invariants): Invariants {
    const invariants = allInvariants(before);
    invariants.record.clocks = this.mesh.clocks;
    invariants.record.slowerPeer = this.slowerPeer;
    this.mesh.watcher = invariants;
    return invariants;
  }

  /** Notes the histories that go on with what those before them held, as resets have begun them: before clients are judged. */
  noteContinuing(): void {
    for (const groupUid of this.invariants.record.resets.keys()) this.clients.history.continuing.add(groupUid);
  }

  /**
   * Deletes the group at all peers at one moment, and has it founded anew under its name (`bootstrap --new`), while its clients stay.
   * The invariants of the history that is gone end with it; what spans histories goes on.
   */
  private beginAnew(founders: readonly PeerId[]): void {
    const { mesh, clients } = this;
    const [at] = founders;
    if (at === undefined || this.invariants.record.commits.last === undefined) return;
    for (const peerId of mesh.peers) mesh.crashPeer(peerId);
    for (const peerId of mesh.peers) mesh.disks.wipe(peerId);
    this.noteContinuing();
    this.invariants = this.watch(this.invariants);
    mesh.coverage.count('group deleted and founded anew');
    for (const peerId of mesh.peers) mesh.startPeer(peerId);
    // They have to open their log-stores first.
    mesh.after(openMs, () =>
      clients.operate({ type: 'bootstrap', at, peers: founders, timeout: foundingMs, isNew: true }),
    );
  }

  execute(command: Command): void {
    this.mesh.trace?.(`${this.mesh.time()} # ${formatCommand(command)}`);
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
 * Carries out a script from its first command on.
 * @param onBegin is told of the run before anything happens in it
 * @throws InvariantViolation; ScriptError where the script makes no sense
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
