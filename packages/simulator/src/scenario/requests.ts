/**
 * The requests of a scenario: each reply is printed with its request. Requests are sent over the run's network to the
 * nodes, and are never repeated; a client's calls are sent by its core, which does repeat them.
 */
import type { RequestTarget, Settlement } from '@conclave/client';
import type { ChangeReply, ErrorBody, PeerId, ResetPeerReply, SnapshotReply, UpgradeReply } from '@conclave/protocol';
import { adminRequestOf } from '../clients/admin-request.js';
import type { ClientCommand, OperatorCommand } from '../language/command.js';
import { formatCommand } from '../language/format-command.js';
import type { AnsweredRequest, AskCommand, PlainRequest } from '../language/scenario-command.js';
import { NatsConnection } from '../mesh/virtual-nats.js';
import type { Endpoint } from '../mesh/virtual-network.js';
import type { Simulation } from '../run/simulation.js';
import { configurationText, errorText, fieldsText, inHistory } from './format.js';

/** A request: its text, its target and body, and the format of its reply. */
interface Order {
  readonly text: string;
  readonly target: RequestTarget;
  readonly body: unknown;
  readonly format: (reply: unknown) => string;
}

export class Requests {
  private readonly open = new Set<number>();
  private lastId = 0;
  /** The sender of all requests. */
  private readonly asker: Endpoint = {
    name: 'asker',
    owner: 'asker',
    connection: new NatsConnection('s1'),
  };

  constructor(
    private readonly simulation: Simulation,
    private readonly print: (line: string) => void,
  ) {
    simulation.mesh.network.connect(this.asker);
  }

  get haveAllReplies(): boolean {
    return this.open.size === 0;
  }

  hasReply(id: number): boolean {
    return !this.open.has(id);
  }

  /** Stops waiting for a reply: the node may have crashed. */
  giveUp(id: number, text: string): void {
    this.open.delete(id);
    this.print(`${text}: no answer`);
  }

  /** Sends a request on the group's subjects, which only the leader receives. */
  ask(what: AnsweredRequest): { readonly id: number; readonly text: string } {
    return what.type === 'client' ? this.call(what) : this.send(orderOf(what));
  }

  /** Sends a request to a peer, whatever its role, on its own subjects. */
  askPeer({ peer, what }: AskCommand): { readonly id: number; readonly text: string } {
    const order = orderOf(what);
    const target = { ...order.target, peerId: peer as PeerId };
    return this.send({ ...order, target, text: `ask ${peer} ${order.text}` });
  }

  private call(command: ClientCommand): { readonly id: number; readonly text: string } {
    const id = this.begin();
    const text = formatCommand(command);
    const onSettled = (settlement: Settlement): void => this.end(id, `${text}: ${settlementText(command, settlement)}`);
    this.simulation.clients.call(command, onSettled);
    return { id, text };
  }

  private send({ text, target, body, format }: Order): { readonly id: number; readonly text: string } {
    const id = this.begin();
    this.simulation.mesh.requests.ask(this.asker, target, body, (reply) => {
      if (!this.open.has(id)) return;
      if (reply.type !== 'body')
        return this.end(id, `${text}: ${reply.type === 'no_responders' ? 'no responders' : reply.type}`);
      const { error } = reply.body as { error?: ErrorBody };
      this.end(id, `${text}: ${error === undefined ? format(reply.body) : errorText(error)}`);
    });
    return { id, text };
  }

  private begin(): number {
    this.lastId += 1;
    this.open.add(this.lastId);
    return this.lastId;
  }

  private end(id: number, line: string): void {
    this.open.delete(id);
    this.print(line);
  }
}

function orderOf(what: PlainRequest | OperatorCommand): Order {
  const text = formatCommand(what);
  if (what.type === 'plain') {
    const { operation, key, value, by } = what;
    const target = { api: 'kv', name: operation } as const;
    if (operation === 'put') return { text, target, body: { key, value }, format: writtenText };
    return { text, target, body: { key, ...(by === undefined ? {} : { consistency: by }) }, format: readText };
  }
  const { name, body, peerId } = adminRequestOf(what);
  const target: RequestTarget = { api: 'admin', name, ...(peerId === undefined ? {} : { peerId }) };
  return { text, target, body, format: formats[what.type] };
}

/** How each reply to an operator is printed. */
const formats: Readonly<Record<OperatorCommand['type'], Order['format']>> = {
  bootstrap: fieldsText,
  reset: resetText,
  change: changeText,
  add: changeText,
  remove: changeText,
  cancel: cancelledText,
  raise: levelText,
  'read-only': fieldsText,
  snapshot: snapshotText,
  transfer: () => 'done',
};

function changeText(reply: unknown): string {
  const { old_peers, new_peers } = reply as ChangeReply;
  const before = configurationText(old_peers, []);
  const after = configurationText(new_peers, []);
  return before === after ? `done, ${after} is effective` : `done, from ${before} to ${after}`;
}

function resetText(reply: unknown): string {
  const { old_peers, new_peers, epoch, may_be_lost } = reply as ResetPeerReply;
  const sets = `from ${configurationText(old_peers, [])} to ${configurationText(new_peers, [])}`;
  return `done, ${sets}, epoch ${epoch}; ${may_be_lost}`;
}

function levelText(reply: unknown): string {
  const { level, raised } = reply as UpgradeReply;
  return raised ? `done, feature level ${level}` : `feature level ${level} already`;
}

function cancelledText(reply: unknown): string {
  const { cancelled } = reply as { cancelled: { old_peers: string[]; new_peers: string[]; state: string } };
  return `done, ${configurationText(cancelled.new_peers, cancelled.old_peers)} is ${cancelled.state}`;
}

function snapshotText(reply: unknown): string {
  const { index, taken, first_index } = reply as SnapshotReply;
  return `${taken ? 'taken' : 'already taken'}, of entry ${index}; the log begins at entry ${first_index}`;
}

function writtenText(reply: unknown): string {
  return `done, revision ${inHistory((reply as { revision: number }).revision)}`;
}

function readText(reply: unknown): string {
  const { value, revision } = reply as { value: unknown; revision: number };
  return revision === 0 ? 'not found' : `${value}, revision ${inHistory(revision)}`;
}

function settlementText({ operation }: ClientCommand, settlement: Settlement): string {
  if (settlement.outcome !== 'done') return errorText(settlement.error);
  if (operation === 'get') return readText(settlement.result);
  const { revision, token, swapped, deleted, succeeded, released } = settlement.result as {
    revision: number;
    token?: number;
    succeeded?: boolean;
    released?: boolean;
    swapped?: boolean;
    deleted?: boolean;
  };
  if (token !== undefined) return token > 0 ? `acquired, token ${inHistory(token)}` : 'waits in the queue';
  if (released === false) return 'not held with this token';
  if (succeeded === false) return `done, the other branch, revision ${inHistory(revision)}`;
  if (swapped === false) return `not swapped, revision ${inHistory(revision)}`;
  if (deleted !== undefined) return deleted ? `deleted, revision ${inHistory(revision)}` : 'nothing to delete';
  return `done, revision ${inHistory(revision)}`;
}
