/** The commands of the playground, as the page shows them: their parameters, and what they do to a run. */
import { actorKinds, ConclaveError, type PeerId } from '@conclave/protocol';
import type { ControlCommand, ControlParameter, ControlValue } from '@conclave/view';
import type { ScenarioCommand } from '../language/scenario-command.js';
import type { Actor } from '../mesh/actor.js';
import type { PlaygroundRun } from './playground-run.js';
import { questions } from './questions/index.js';

type Parameters = Readonly<Record<string, ControlValue>>;

/** A command on the run. Commands of the playback are those of the source. */
interface RunCommand extends Omit<ControlCommand, 'disabled'> {
  /** Why it cannot be used now; undefined: it can. */
  readonly disabledBy?: (run: PlaygroundRun) => string | undefined;
  readonly execute: (run: PlaygroundRun, parameters: Parameters) => void;
}

/** A key or value that is written in the playground. */
const textBytes = 64;
const maxSlowMs = 2000;

export class RunControls {
  /** Returns the commands on a run, for the page. */
  commands(run: PlaygroundRun): ControlCommand[] {
    return commandsOf(run).map(({ disabledBy, execute: _, ...command }) => {
      const disabled = run.ended === '' ? disabledBy?.(run) : run.ended;
      return disabled === undefined ? command : { ...command, disabled };
    });
  }

  /**
   * Executes a command; returns false if there is none of that name.
   * @throws ConclaveError EINVAL: a parameter is not valid, or the command cannot be used now
   */
  execute(run: PlaygroundRun, name: string, parameters: Parameters): boolean {
    const command = commandsOf(run).find((one) => one.name === name);
    if (command === undefined) return false;
    const disabled = run.ended === '' ? command.disabledBy?.(run) : run.ended;
    if (disabled !== undefined) throw new ConclaveError('EINVAL', `${command.label}: ${disabled}`);
    command.execute(run, validated(command.parameters, parameters));
    return true;
  }
}

/** Returns the parameters, with initial values for those that are missing. @throws ConclaveError EINVAL */
export function validated(known: readonly ControlParameter[], given: Parameters): Parameters {
  for (const name of Object.keys(given)) {
    if (!known.some((parameter) => parameter.name === name)) throw invalid(name, 'there is no such parameter');
  }
  return Object.fromEntries(
    known.map((parameter) => {
      const value = Object.hasOwn(given, parameter.name) ? given[parameter.name] : parameter.initial;
      if (value === undefined) throw invalid(parameter.name, 'it is missing');
      return [parameter.name, checked(parameter, value)];
    }),
  );
}

function checked({ name, type, choices = [], min, max }: ControlParameter, value: ControlValue): ControlValue {
  const isChoice = (one: unknown): boolean => choices.some((choice) => choice.value === one);
  switch (type) {
    case 'choice':
      if (!isChoice(value)) throw invalid(name, `expected one of ${choices.map((choice) => choice.value).join(', ')}`);
      return value;
    case 'set':
      if (!Array.isArray(value) || value.length === 0 || new Set(value).size !== value.length || !value.every(isChoice))
        throw invalid(name, `expected some of ${choices.map((choice) => choice.value).join(', ')}`);
      return value;
    case 'number':
      if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < (min ?? 0) || value > (max ?? 1e9))
        throw invalid(name, `expected a whole number from ${min ?? 0} to ${max ?? 1e9}`);
      return value;
    case 'text':
      if (typeof value !== 'string' || value === '' || Buffer.byteLength(value) > textBytes)
        throw invalid(name, `expected 1 to ${textBytes} bytes`);
      return value;
    case 'switch':
      if (typeof value !== 'boolean') throw invalid(name, 'expected true or false');
      return value;
  }
}

function invalid(name: string, text: string): ConclaveError {
  return new ConclaveError('EINVAL', `${name}: ${text}`);
}

// ---- the commands --------------------------------------------------------------------------------

function commandsOf(run: PlaygroundRun): RunCommand[] {
  return [...faults(run), ...members(run), ...keys()];
}

function faults({ mesh }: PlaygroundRun): RunCommand[] {
  const processes = (peer: PeerId) => actorKinds.map((kind) => mesh.actor(peer, kind));
  const having = (is: (actor: Actor | undefined) => boolean) => mesh.peers.filter((peer) => processes(peer).some(is));
  const peer = peerParameter(mesh.peers);
  const actor = actorParameter();
  const heading = 'Faults';
  const onTarget = (type: 'crash' | 'start' | 'pause' | 'resume') => (run: PlaygroundRun, parameters: Parameters) =>
    run.execute({ type, targets: [targetOf(parameters)] });
  return [
    {
      name: 'kill',
      label: 'Kill',
      help: 'Ends processes at once. A disk write in progress may be lost.',
      heading,
      parameters: [peer, actor],
      onPeer: true,
      peers: having((actor) => actor?.isUp === true),
      execute: onTarget('crash'),
    },
    {
      name: 'start',
      label: 'Start',
      help: 'Starts processes that are down.',
      heading,
      parameters: [peer, actor],
      onPeer: true,
      peers: having((actor) => actor?.isUp !== true),
      execute: onTarget('start'),
    },
    {
      name: 'pause-processes',
      label: 'Pause',
      help: 'The processes execute nothing until they continue. Then they execute all that waited.',
      heading,
      parameters: [peer, actor],
      onPeer: true,
      peers: having((actor) => actor?.isUp === true && actor.waiting === undefined),
      execute: onTarget('pause'),
    },
    {
      name: 'resume',
      label: 'Continue',
      help: 'Paused processes continue.',
      heading,
      parameters: [peer, actor],
      onPeer: true,
      peers: having((actor) => actor?.isUp === true && actor.waiting !== undefined),
      execute: onTarget('resume'),
    },
    {
      name: 'partition',
      label: 'Partition',
      help: 'No message passes between these peers and all others, in either direction.',
      heading,
      parameters: [{ ...peersParameter(mesh.peers), label: 'cut off' }],
      execute: (run, { peers }) => partition(run, peers as readonly string[]),
    },
    {
      name: 'slow',
      label: 'Slow down',
      help: 'All messages between this peer and others take longer.',
      heading,
      parameters: [
        peer,
        { name: 'ms', label: 'milliseconds', type: 'number', initial: 50, min: 0, max: maxSlowMs, step: 10 },
      ],
      onPeer: true,
      execute: (run, { peer: slow, ms }) => run.execute({ type: 'slow', peer: slow as string, ms: ms as number }),
    },
    {
      name: 'reconnect',
      label: 'Reconnect all',
      help: 'Ends all partitions and delays.',
      heading,
      parameters: [],
      execute: (run) => run.execute({ type: 'reconnect' }),
    },
    {
      name: 'wipe',
      label: 'Wipe the disk',
      help: 'The peer is killed, and its disk is empty. Start it again: the leader replaces the lost store.',
      heading,
      parameters: [peer],
      onPeer: true,
      execute: (run, { peer: wiped }) => wipe(run, wiped as string),
    },
  ];
}

function members({ mesh }: PlaygroundRun): RunCommand[] {
  const heading = 'Members';
  const initial = membersOf(mesh);
  return [
    {
      name: 'change-members',
      label: 'Change members',
      help: 'Asks the leader to make these peers the members.',
      heading,
      parameters: [{ ...peersParameter(mesh.peers), label: 'new members', initial }],
      execute: (run, { peers }) => run.execute({ type: 'change', peers: peers as readonly string[] }),
    },
    {
      name: 'cancel-change',
      label: 'Cancel the change',
      help: 'Asks the leader to cancel the change in progress.',
      heading,
      parameters: [],
      execute: (run) => run.execute({ type: 'cancel' }),
    },
    {
      name: 'transfer-leader',
      label: 'Make leader',
      help: 'Asks the leader to transfer the leadership to this peer.',
      heading,
      parameters: [peerParameter(mesh.peers)],
      onPeer: true,
      peers: initial.filter((member) => member !== mesh.leader),
      execute: (run, { peer }) => run.execute({ type: 'transfer', peer: peer as string }),
    },
  ];
}

function keys(): RunCommand[] {
  const key: ControlParameter = { name: 'key', label: 'key', type: 'text', initial: 'a' };
  const heading = 'Keys';
  return [
    {
      name: 'put',
      label: 'Write',
      help: 'Asks the leader to write a key. The reply is in the timeline.',
      heading,
      parameters: [key, { name: 'value', label: 'value', type: 'text', initial: '1' }],
      key: 'w',
      execute: (run, parameters) => run.execute(plain('put', parameters)),
    },
    {
      name: 'get',
      label: 'Read',
      help: 'Asks the leader to read a key, linearizably. The reply is in the timeline.',
      heading,
      parameters: [key],
      execute: (run, parameters) => run.execute(plain('get', parameters)),
    },
  ];
}

function plain(operation: 'put' | 'get', { key, value }: Parameters): ScenarioCommand {
  return { type: 'plain', operation, key: key as string, value: (value as string | undefined) ?? '', by: undefined };
}

function partition(run: PlaygroundRun, cutOff: readonly string[]): void {
  const others = run.mesh.peers.filter((peer) => !cutOff.includes(peer));
  if (others.length === 0) throw new ConclaveError('EINVAL', 'peers: at least one peer has to be on the other side');
  run.execute({ type: 'cut', groups: [cutOff, others], oneWay: false });
}

/** Data of which too few copies are left would be lost for good, and no rule of the group can hold then. */
function wipe(run: PlaygroundRun, peer: string): void {
  if (run.isSpare(peer)) return run.execute({ type: 'wipe', peer, ifSpare: false });
  run.outcome = {
    text: `The disk of ${peer} is not wiped: without it, too few copies of committed entries would be left.`,
    ok: false,
  };
}

function peerParameter(peers: readonly PeerId[]): ControlParameter {
  const choices = peers.map((peer) => ({ value: peer, label: peer }));
  return { name: 'peer', label: 'peer', type: 'choice', choices, initial: peers[0] ?? '' };
}

function peersParameter(peers: readonly PeerId[]): ControlParameter {
  return { name: 'peers', label: 'peers', type: 'set', choices: peers.map((peer) => ({ value: peer, label: peer })) };
}

function actorParameter(): ControlParameter {
  const choices = ['all', ...actorKinds].map((actor) => ({
    value: actor,
    label: actor === 'all' ? 'all its actors' : actor,
  }));
  return { name: 'actor', label: 'actor', type: 'choice', choices, initial: 'all' };
}

function targetOf({ peer, actor }: Parameters): string {
  return actor === 'all' ? `${peer}` : `${peer}.${actor}`;
}

function membersOf(mesh: PlaygroundRun['mesh']): string[] {
  const { leader } = mesh;
  const configuration = leader === undefined ? null : mesh.status(leader).configuration;
  return configuration === null ? [] : configuration.peers.map(({ peer_id }) => peer_id);
}

/** The choice of a question, for the page. */
export const questionParameter: ControlParameter = {
  name: 'question',
  label: 'question',
  type: 'choice',
  choices: [
    ...questions.map(({ name, title }) => ({ value: name, label: title })),
    { value: 'none', label: 'A group of your own' },
  ],
};
