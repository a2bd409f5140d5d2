/** Executes the commands of a script on a mesh. Each command can be executed even if shrinking (`shrink.ts`) has deleted commands before it. */
import { actorKinds, type PeerId } from '@conclave/protocol';
import type { VirtualClients } from '../clients/virtual-clients.js';
import type {
  Command,
  CutCommand,
  DelayCommand,
  DiskCommand,
  FlipCommand,
  NatsCommand,
  ResetSurvivorsCommand,
  RunCommand,
  RunUntil,
  WipeCommand,
} from '../language/command.js';
import { ScriptError } from '../language/tokens.js';
import type { ProcessKind } from '../mesh/actor.js';
import type { CoreMesh } from '../mesh/core-mesh.js';
import type { StatePart } from '../mesh/corrupted-state.js';
import { type ServerName, serverNames } from '../mesh/virtual-nats.js';
import type { QuorumView } from './quorum-view.js';

interface Target {
  readonly peerId: PeerId;
  readonly processKind: ProcessKind;
}

/** A `run` with `until` ends when the coverage counts one more of these. `heal`: the joint stage of a replacement begins. */
const counterOf: Readonly<Record<RunUntil, string>> = {
  heal: 'stage joint of a replacement',
  elected: 'event leader_elected',
};

const allProcessKinds = [...actorKinds, 'duplicate-node'] as const satisfies readonly ProcessKind[];

export class Executor {
  constructor(
    private readonly mesh: CoreMesh,
    private readonly clients: VirtualClients,
    private readonly quorums: QuorumView,
    /**
     * Procedures of several steps, and what an operator knows: whether this peer must not be started now, and whether another peer
     * was reset and this one has the abandoned history.
     */
    private readonly procedures: {
      readonly quiesce: () => void;
      readonly resetSurvivors: (command: ResetSurvivorsCommand) => void;
      readonly recreate: (peers: readonly PeerId[], withBackup: boolean) => void;
      readonly backup: (peerId: PeerId) => void;
      readonly isHeldBack: (peerId: PeerId) => boolean;
      readonly hasAbandonedHistory: (peerId: PeerId) => boolean;
    },
  ) {}

  execute(command: Command): void {
    const { mesh, clients } = this;
    switch (command.type) {
      case 'peers':
        throw new ScriptError('`peers` may be used once, as the first command');
      case 'network':
        return this.setConditions(command);
      case 'run':
        return this.runFor(command);
      case 'crash':
        return this.crash(command.targets);
      case 'start':
        return this.start(command.targets);
      case 'pause':
        return this.each(command.targets, ({ peerId, processKind }) => mesh.pause(peerId, processKind));
      case 'resume':
        return this.each(command.targets, ({ peerId, processKind }) => this.resume(peerId, processKind));
      case 'build':
        return this.build(command.build, command.targets);
      case 'duplicate-node':
        return this.startDuplicateNode(this.peer(command.peer));
      case 'skew':
        return this.skew(command.target, command.rate, command.offset);
      case 'cut':
        return this.cut(command);
      case 'delay':
        return this.delay(command);
      case 'slow':
        return mesh.network.slowDown(this.peer(command.peer), command.ms);
      case 'reconnect':
        return mesh.network.endCuts();
      case 'wipe':
        return this.wipe(command);
      case 'copy-disk':
        return this.mesh.disks.copyDisk(this.peer(command.peer));
      case 'restore-disk':
        this.mesh.coverage.count('older copy of a disk restored');
        this.mesh.crashPeer(this.peer(command.peer));
        return this.mesh.disks.restoreDisk(this.peer(command.peer));
      case 'disk':
        return this.disk(command);
      case 'flip':
        return this.flip(command);
      case 'corrupt':
        return this.corrupt(this.peer(command.peer), command.part);
      case 'nats':
        return this.nats(command);
      case 'client':
        clients.call(command);
        return;
      case 'reset-survivors':
        return this.procedures.resetSurvivors(command);
      case 'recreate':
        return this.procedures.recreate(
          command.peers.map((peer) => this.peer(peer)),
          command.backup === true,
        );
      case 'backup':
        return this.procedures.backup(this.peer(command.peer));
      case 'watch':
        return clients.watch(command.prefix);
      case 'quiesce':
        return this.procedures.quiesce();
      default:
        clients.operate(command);
    }
  }

  private setConditions({ loss, repeat, delay, turn }: Extract<Command, { type: 'network' }>): void {
    const { conditions } = this.mesh.network;
    conditions.loss = loss ?? conditions.loss;
    conditions.repeat = repeat ?? conditions.repeat;
    conditions.delay = delay ?? conditions.delay;
    conditions.turn = turn ?? conditions.turn;
  }

  private crash(targets: readonly string[]): void {
    const { mesh } = this;
    if (targets.includes('all')) mesh.coverage.count('crash of everything');
    this.each(targets, ({ peerId, processKind }) => {
      if (!mesh.isUp(peerId, processKind)) return;
      mesh.coverage.count(`crash of a ${processKind}`);
      this.countCrash(peerId, processKind);
      mesh.crash(peerId, processKind);
    });
  }

  /** Counts what the crash interrupts. */
  private countCrash(peerId: PeerId, processKind: ProcessKind): void {
    const { coverage, leader } = this.mesh;
    if (!this.mesh.isUp(peerId, 'node')) return;
    const { stage, taking, installing, restoring, progress } = this.mesh.status(peerId);
    if (taking !== null) coverage.count(`crash of a ${processKind} while a snapshot is taken`);
    if (installing !== null) coverage.count(`crash of a ${processKind} while a snapshot comes in`);
    if (restoring !== null) coverage.count(`crash of a ${processKind} while the state is restored`);
    if (leader !== peerId) return;
    if (stage !== 'none') coverage.count(`crash of the leader's ${processKind} while ${stage}`);
    const isSending = progress.some(({ install }) => install !== null);
    if (isSending) coverage.count(`crash of the leader's ${processKind} while it sends a snapshot`);
  }

  /** Resumes a paused process, or ends it if an operator would not let its peer run. */
  private resume(peerId: PeerId, processKind: ProcessKind): void {
    const { mesh } = this;
    const isPaused = mesh.actor(peerId, processKind)?.waiting !== undefined;
    if (!isPaused || !this.procedures.isHeldBack(peerId)) return mesh.resume(peerId, processKind);
    mesh.coverage.count('a paused process of an abandoned history is ended');
    mesh.crash(peerId, processKind);
  }

  /** Starts the processes that do not run. */
  private start(targets: readonly string[]): void {
    const { mesh } = this;
    this.each(targets, ({ peerId, processKind }) => {
      if (processKind === 'duplicate-node' || mesh.isUp(peerId, processKind)) return;
      if (this.procedures.isHeldBack(peerId)) return mesh.coverage.count('a peer of an abandoned history is held back');
      mesh.coverage.count(`start of a ${processKind} again`);
      mesh.start(peerId, processKind);
    });
  }

  /** Sets the build of these processes. Those that run are restarted. */
  private build(build: 'old' | 'new', targets: readonly string[]): void {
    const { mesh } = this;
    this.each(targets, ({ peerId, processKind }) => {
      if (processKind === 'duplicate-node' || mesh.buildOf(peerId, processKind) === build) return;
      mesh.setBuild(peerId, processKind, build);
      mesh.coverage.count(`${processKind} restarted with the ${build === 'old' ? 'older' : 'newer'} build`);
      if (mesh.isUp(peerId, processKind)) mesh.start(peerId, processKind);
    });
  }

  private startDuplicateNode(peerId: PeerId): void {
    this.mesh.coverage.count('second node started for a peer');
    this.mesh.start(peerId, 'duplicate-node');
  }

  private skew(target: string, rate: number, offset: number): void {
    this.each([target], ({ peerId, processKind }) => {
      const actor = this.mesh.actor(peerId, processKind);
      if (actor?.isUp !== true) return;
      this.mesh.coverage.count('clock skewed');
      this.mesh.skew(actor, rate, offset);
    });
  }

  /** Two groups: separates processes. One group of two names: cuts the route between these NATS servers. */
  private cut({ groups, oneWay }: CutCommand): void {
    const [first = [], second] = groups;
    if (second !== undefined) return this.mesh.network.cut(this.named(groups), oneWay);
    const [one, other] = first.map((name) => this.server(name));
    if (one === undefined || other === undefined) throw new ScriptError('a route has two servers');
    this.mesh.coverage.count('route between NATS servers cut');
    this.mesh.network.nats.cutRoute(one, other);
  }

  private delay(command: DelayCommand): void {
    const { network } = this.mesh;
    if ('message' in command) return network.delayMessages(command.message, command.ms);
    const [from, to] = [command.from, command.to].map((name) => this.targets(name));
    for (const one of from ?? [])
      for (const other of to ?? []) network.delayLink(nameOf(one), nameOf(other), command.ms);
  }

  private runFor({ ms, until }: RunCommand): void {
    const { mesh } = this;
    if (until === undefined) return mesh.run(ms);
    const before = mesh.coverage.get(counterOf[until]);
    mesh.until(() => mesh.coverage.get(counterOf[until]) > before, ms);
  }

  private nats({ state, server }: NatsCommand): void {
    const { nats } = this.mesh.network;
    const name = this.server(server);
    if (state === 'up') return nats.up(name);
    if (nats.isUp(name)) this.mesh.coverage.count('NATS server went away');
    nats.down(name);
    if (serverNames.every((one) => !nats.isUp(one))) this.mesh.coverage.count('all NATS servers gone');
  }

  /** `ifSpare`: only if the group keeps its quorum without this disk. `ifHeld`: only if another disk has a log that counts. */
  private wipe({ peer, ifSpare, ifHeld }: WipeCommand): void {
    const peerId = peer === 'leader' ? this.mesh.leader : this.peer(peer);
    if (peerId === undefined || (ifSpare && !this.quorums.isSpare(peerId))) return;
    const { peers, disks } = this.mesh;
    const isHolder = (one: PeerId): boolean =>
      disks.lastIndex(one) > 0 && !disks.isDamaged(one) && !this.procedures.hasAbandonedHistory(one);
    if (ifHeld === true && !peers.some((one) => one !== peerId && isHolder(one))) return;
    this.mesh.coverage.count('disk lost');
    this.mesh.crashPeer(peerId);
    this.mesh.disks.wipe(peerId);
  }

  private disk({ peer, delay, free, fail }: DiskCommand): void {
    const peerId = peer === 'leader' ? this.mesh.leader : this.peer(peer);
    if (peerId === undefined) return;
    if (free !== undefined) this.mesh.diskDriver.setFree(peerId, free * 2 ** 20);
    if (delay !== undefined) this.mesh.diskDriver.setDelay(peerId, delay);
    if (fail) this.mesh.diskDriver.failNext(peerId);
  }

  private corrupt(peerId: PeerId, part: StatePart): void {
    const { mesh } = this;
    if (!mesh.isUp(peerId, 'node')) return;
    const { configuration, taking, restoring, role } = mesh.status(peerId);
    // Only then can the other members form a majority that detects the difference.
    const canBeOutvoted = (configuration?.peers.length ?? 0) >= 3 && configuration?.old_peers.length === 0;
    if (!canBeOutvoted || taking !== null || restoring !== null || role === 'opening' || role === 'fenced') return;
    if (mesh.peers.some((one) => mesh.isCorrupted(one)) || !mesh.corruptState(peerId, part)) return;
    mesh.coverage.count(`state corrupted: a ${part}`);
  }

  private flip({ peer, part, index, ifSpare }: FlipCommand): void {
    const peerId = this.peer(peer);
    if (ifSpare && !this.quorums.isSpare(peerId)) return;
    if (this.mesh.disks.flip(peerId, part, index, this.mesh.random.next())) {
      this.mesh.coverage.count(`bit flipped in a ${part}`);
    }
  }

  // ---- names -------------------------------------------------------------------------------------

  private each(names: readonly string[], run: (target: Target) => void): void {
    for (const name of names) {
      if (/^c\d+$/.test(name)) this.clients.crash(name);
      else for (const target of this.targets(name)) run(target);
    }
  }

  private targets(name: string): Target[] {
    if (name === 'all') return this.mesh.peers.flatMap((peerId) => allOf(peerId));
    const [peer = '', processKind] = name.split('.');
    const peerId = peer === 'leader' ? this.mesh.leader : this.peer(peer);
    if (peerId === undefined) return [];
    if (processKind === undefined) return allOf(peerId);
    if (!isProcessKind(processKind)) throw new ScriptError(`${processKind} is none of ${allProcessKinds.join(', ')}`);
    return [{ peerId, processKind }];
  }

  /** Replaces `leader` by the name of the leader in the group of names that contains it, and removes that name from the other groups. */
  private named(groups: readonly (readonly string[])[]): (readonly string[])[] {
    const { leader } = this.mesh;
    const isLeader = (name: string): boolean => /^leader(\.|$)/.test(name);
    if (!groups.some((names) => names.some(isLeader))) return [...groups];
    if (leader === undefined) return [[], []];
    return groups.map((names) =>
      names.filter((name) => name !== leader).map((name) => (isLeader(name) ? name.replace('leader', leader) : name)),
    );
  }

  private peer(name: string): PeerId {
    const peerId = this.mesh.peers.find((one) => one === name);
    if (peerId === undefined) throw new ScriptError(`there is no peer ${name}`);
    return peerId;
  }

  private server(name: string): ServerName {
    const server = serverNames.find((one) => one === name);
    if (server === undefined) throw new ScriptError(`there is no server ${name}`);
    return server;
  }
}

function allOf(peerId: PeerId): Target[] {
  return allProcessKinds.map((processKind) => ({ peerId, processKind }));
}

function nameOf({ peerId, processKind }: Target): string {
  return `${peerId}.${processKind}`;
}

function isProcessKind(processKind: string): processKind is ProcessKind {
  return (allProcessKinds as readonly string[]).includes(processKind);
}
