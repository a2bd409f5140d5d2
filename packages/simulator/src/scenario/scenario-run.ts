/**
 * Runs a scenario: one block after the other, and returns the output of each.
 *
 * Nothing is random: each message takes half of the network's delay, each access of a disk a millisecond, a crash loses
 * all that was not synced, and peers campaign in the order of their timeouts.
 */

import type { ConclaveEvent, PeerId } from '@conclave/protocol';
import type { Invariants } from '../invariants/all-invariants.js';
import type { Command, PeersCommand, RunCommand } from '../language/command.js';
import { parseCommand } from '../language/parse-command.js';
import type {
  AnsweredRequest,
  AwaitCommand,
  Condition,
  GivenCommand,
  GroupCommand,
  ScenarioCommand,
  UntilCommand,
} from '../language/scenario-command.js';
import { type Actor, type CoreMesh, groupId, type RunObserver } from '../mesh/core-mesh.js';
import type { Passing } from '../mesh/message-router.js';
import { ConstantRandom, type Random } from '../mesh/random.js';
import { Simulation } from '../run/simulation.js';
import { holds } from './conditions.js';
import { eventText } from './format.js';
import { Inspector } from './inspect.js';
import { MessageFilter } from './message-filter.js';
import { presetDiskOf, writePresetDisk } from './preset-disk.js';
import { Requests } from './requests.js';
import { type Block, emptyOutput, ScenarioOutput } from './scenario-file.js';

const startCommands: readonly string[] = ['given', 'peers', 'group'];

/** Printed only if a scenario asks for them. */
const hiddenAtFirst = ['catchup_progress', 'peer_unreachable'];

/** What a command waits for, while virtual time passes. */
export interface Wait {
  readonly isOver: () => boolean;
  /** It ends then at the latest, */
  readonly endMs: number;
  /** and this is called, if it was not over. @throws Error if it had to be over */
  readonly onLate: () => void;
}

/** Observes the stories of a scenario: each has a mesh of its own. */
export interface StoryObserver {
  /**
   * A story begins: with peers that start, or with a group that was created before.
   * @param isHeld whether a message is held back or dropped if it arrives now
   */
  onStory(simulation: Simulation, isHeld: (from: Actor, to: Actor, message: Passing) => boolean): void;
  /** A request has got its reply, or none in time; `line`: as a scenario prints it. */
  onRequestEnded(line: string): void;
  /** A message is delivered that was held back, or its copy. */
  onReleased(from: Actor, to: Actor, message: Passing): void;
}

export class ScenarioRun {
  private readonly output = new ScenarioOutput();
  private filter = new MessageFilter();
  private timeouts = new Map<string, number>();
  /** Timeouts that were just set: the next story begins with them. */
  private readonly pendingTimeouts = new Map<string, number>();
  private presets: GivenCommand[] = [];
  private readonly hidden = new Set<string>(hiddenAtFirst);
  private events: { readonly peer: string; readonly name: string }[] = [];
  /** The entry of the story's first configuration. */
  private foundedIndex = 0;
  /** Whether the observer knows the present story: it does not see how its group is created. */
  private isObserved = false;
  private parts:
    | { readonly simulation: Simulation; readonly requests: Requests; readonly inspector: Inspector }
    | undefined;

  /** @param randomness of the runs, if not that of scenarios, in which nothing is random */
  constructor(
    private readonly observer?: StoryObserver,
    private readonly randomness?: () => Random,
  ) {}

  /** Returns the output of a block. @throws Error that names the line of a failed command. */
  runBlock(block: Block): string[] {
    for (const { text, line } of block.commands) {
      try {
        const wait = this.execute(parseCommand(text));
        if (wait !== undefined) this.sit(wait);
      } catch (error) {
        const printed = this.output.flush().map((line) => `\n  ${line}`);
        throw new Error(`line ${line}, ${text}: ${(error as Error).message}${printed.join('')}`, { cause: error });
      }
    }
    const lines = this.output.flush();
    return lines.length === 0 ? [emptyOutput] : lines;
  }

  /** Returns what was printed since the last call. */
  takeOutput(): string[] {
    return this.output.flush();
  }

  /** The run of the present story; undefined: none has begun. */
  get simulation(): Simulation | undefined {
    return this.parts?.simulation;
  }

  private sit({ isOver, endMs, onLate }: Wait): void {
    const { mesh } = this;
    if (!mesh.until(isOver, endMs - mesh.nowMs)) onLate();
  }

  private get mesh(): CoreMesh {
    return this.begun.simulation.mesh;
  }

  private get begun() {
    if (this.parts === undefined) throw new Error('a scenario begins with its peers');
    return this.parts;
  }

  /**
   * Begins a command. Only the creation of a group lets virtual time pass in here.
   * @returns what the command waits for; undefined: nothing
   */
  execute(command: ScenarioCommand): Wait | undefined {
    if (command.type !== 'timeouts' && !startCommands.includes(command.type)) this.pendingTimeouts.clear();
    switch (command.type) {
      case 'peers':
        this.begin(command);
        this.beginStory();
        return undefined;
      case 'group':
        this.found(command);
        return undefined;
      case 'until':
        return this.until(command.condition, command.within);
      case 'await':
        return this.await(command);
      case 'run':
        return this.runFor(command);
      default:
        this.executeAtOnce(command);
        return undefined;
    }
  }

  private executeAtOnce(
    command: Exclude<ScenarioCommand, PeersCommand | GroupCommand | UntilCommand | AwaitCommand>,
  ): void {
    switch (command.type) {
      case 'given':
        this.presets.push(command);
        return;
      case 'timeouts':
        for (const [peer, ms] of command.ofPeers) {
          this.timeouts.set(peer, ms);
          this.pendingTimeouts.set(peer, ms);
        }
        return;
      case 'status':
      case 'progress':
      case 'changes':
      case 'dropped':
        return this.printAll(this.begun.inspector.lines(command));
      case 'log':
        return this.printAll(this.begun.inspector.log(command));
      case 'value':
        return this.printAll(this.begun.inspector.value(command.key, command.peers));
      case 'hold':
      case 'copy':
      case 'lose':
        return this.filter.begin(command.type, command.name, command.pattern);
      case 'release':
      case 'drop':
        return this.endKeeping(command.type, command.name, command.newest);
      case 'show':
        for (const name of command.events) this.hidden.delete(name);
        return;
      case 'hide':
        for (const name of command.events) this.hidden.add(name);
        return;
      case 'reports':
        this.mesh.requests.reports = command.on ? 'connections' : 'never';
        return;
      case 'ask':
        this.begun.requests.askPeer(command);
        return;
      default:
        this.runOrAsk(command);
    }
  }

  private runOrAsk(command: Command | AnsweredRequest): void {
    const { requests, simulation } = this.begun;
    switch (command.type) {
      case 'plain':
      case 'client':
      case 'bootstrap':
      case 'reset':
      case 'change':
      case 'add':
      case 'remove':
      case 'cancel':
      case 'raise':
      case 'read-only':
      case 'snapshot':
      case 'transfer':
        requests.ask(command);
        return;
      default:
        simulation.execute(command);
    }
  }

  private await({ what, within }: AwaitCommand): Wait {
    const { requests } = this.begun;
    const endMs = this.mesh.nowMs + within;
    const { id, text } = what.type === 'ask' ? requests.askPeer(what) : requests.ask(what);
    return { isOver: () => requests.hasReply(id), endMs, onLate: () => requests.giveUp(id, text) };
  }

  private runFor(command: RunCommand): Wait | undefined {
    if (command.until !== undefined) {
      this.begun.simulation.execute(command);
      return undefined;
    }
    const { mesh } = this;
    const endMs = mesh.nowMs + command.ms;
    return { isOver: () => false, endMs, onLate: () => mesh.run(endMs - mesh.nowMs) };
  }

  private printAll(lines: readonly string[]): void {
    for (const line of lines) this.output.print(line);
  }

  // ---- the beginning -----------------------------------------------------------------------------

  private begin(command: PeersCommand): void {
    const simulation = new Simulation(command, 1, this.randomness?.() ?? new ConstantRandom());
    const { mesh, invariants } = simulation;
    this.filter = new MessageFilter();
    this.isObserved = false;
    this.events = [];
    this.foundedIndex = 0;
    this.timeouts = new Map(this.pendingTimeouts);
    mesh.randomOf = ({ peerId, random }) => {
      const timeoutMs = this.timeouts.get(peerId);
      if (timeoutMs === undefined && this.randomness !== undefined) return random.next();
      return ((timeoutMs ?? this.usualTimeout(peerId)) - 1000) / 1000;
    };
    // In a scenario peers campaign in the order of their timeouts.
    mesh.requests.reports = this.randomness === undefined ? 'never' : 'connections';
    mesh.gate = (from, to, message, deliver) =>
      this.filter.passes(placeOf(from), placeOf(to), message, () => {
        this.observer?.onReleased(from, to, message);
        deliver();
      });
    mesh.observer = listeningTo(invariants, (peer, term, event) => this.onEvent(peer, term, event));
    this.parts = { simulation, requests: this.requestsOf(simulation), inspector: new Inspector(mesh) };
    // All start together, also those with preset disks.
    for (const { peer } of this.presets) mesh.crashPeer(peer as PeerId);
    for (const given of this.presets) this.write(given);
    for (const { peer } of this.presets) mesh.startPeer(peer as PeerId);
    this.presets = [];
  }

  private requestsOf(simulation: Simulation): Requests {
    return new Requests(simulation, (line) => {
      this.output.print(line);
      if (this.isObserved) this.observer?.onRequestEnded(line);
    });
  }

  private beginStory(): void {
    const isHeld = (from: Actor, to: Actor, message: Passing) => this.filter.stops(placeOf(from), placeOf(to), message);
    this.observer?.onStory(this.begun.simulation, isHeld);
    this.isObserved = true;
  }

  private found({ peers, spare, options }: GroupCommand): void {
    // A spare peer may have something else under that name.
    const isNew = this.presets.length > 0;
    this.begin({ type: 'peers', peers: [...peers, ...spare], ...options });
    this.mesh.run(1200);
    const [at = ''] = peers;
    this.sit(this.await({ type: 'await', what: { type: 'bootstrap', at, peers, isNew }, within: 30_000 }));
    this.mesh.run(300);
    this.foundedIndex = this.mesh.status(peers[0] as PeerId).configuration_index;
    this.output.flush();
    this.beginStory();
  }

  /** In the order of their names, half an election timeout apart at most. */
  private usualTimeout(peer: string): number {
    return 1100 + (800 * this.mesh.peers.indexOf(peer as PeerId)) / this.mesh.peers.length;
  }

  private write(given: GivenCommand): void {
    const { mesh } = this;
    const disk = presetDiskOf(given, groupId, mesh.peers);
    writePresetDisk(disk, (operations) => mesh.disks.write(disk.peerId, operations));
    // The invariants have not observed its commit: they are informed here.
    const { tree, commits } = this.begun.simulation.invariants.record;
    const { groupUid, commitIndex, entries } = disk;
    const committed = tree.find(groupUid, commitIndex, entries[commitIndex - 1]?.term ?? 0);
    if (committed !== undefined) commits.add(committed);
  }

  // ---- what happens ------------------------------------------------------------------------------

  private onEvent(peer: string, term: number, event: ConclaveEvent): void {
    this.events.push({ peer, name: event.name });
    if (!this.hidden.has(event.name) && !this.isOfTheFounding(event))
      this.output.printFor(peer, eventText(event, term));
  }

  /** New and restarted peers report the earlier configurations of the group: these are not printed. */
  private isOfTheFounding({ name, detail }: ConclaveEvent): boolean {
    const isOfConfiguration = name === 'configuration_appended' || name === 'configuration_committed';
    return isOfConfiguration && detail.index < this.foundedIndex;
  }

  private endKeeping(type: 'release' | 'drop', name: string, newest: number | undefined): void {
    const { verb, kept } = this.filter.end(name, newest);
    const fate = type === 'release' ? 'arrives' : verb === 'copy' ? 'has passed' : 'is lost';
    for (const [text, count] of counted(kept.map((message) => message.text))) {
      this.output.print(`${fate}: ${text}${count === 1 ? '' : ` (${count} times)`}`);
    }
    if (type === 'release') for (const { deliver } of kept) deliver();
  }

  private until(condition: Condition, withinMs: number): Wait {
    const from = this.events.length;
    const onLate = (): void => {
      throw new Error(`not within ${withinMs} ms`);
    };
    return { isOver: () => this.holds(condition, from), endMs: this.mesh.nowMs + withinMs, onLate };
  }

  private holds(condition: Condition, fromEvent: number): boolean {
    const { mesh, filter } = this;
    return holds(condition, { mesh, filter, requests: this.begun.requests, events: this.events.slice(fromEvent) });
  }
}

/** Observes the run for the invariants, and collects events. */
function listeningTo(invariants: Invariants, onEvent: NonNullable<RunObserver['onEvent']>): RunObserver {
  return {
    onStepping: (...step) => invariants.onStepping(...step),
    onStepped: (actor) => invariants.onStepped(actor),
    onSent: (...sent) => invariants.onSent(...sent),
    onApplied: (...applied) => invariants.onApplied(...applied),
    onRestored: (...restored) => invariants.onRestored(...restored),
    onWritten: (...written) => invariants.onWritten(...written),
    onWiped: (peerId) => invariants.onWiped(peerId),
    onReplied: (...answered) => invariants.onReplied(...answered),
    onEvent: (...happened) => {
      onEvent(...happened);
      invariants.onEvent(...happened);
    },
  };
}

export function placeOf({ peerId, processKind }: Actor): { peerId: string; kind: string } {
  return { peerId, kind: processKind };
}

/** Returns how often each item occurs, in the order of the first ones. */
function counted(texts: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const text of texts) counts.set(text, (counts.get(text) ?? 0) + 1);
  return counts;
}
