/** The clients and the operator of a run, with the record of their calls. A client exists from its first call on. */
import type { Call, Settlement, WriteCall } from '@conclave/client';
import type { Operation, OperationResult, PeerId } from '@conclave/protocol';
import type { ClientCommand, OperatorCommand } from '../language/command.js';
import type { CoreMesh } from '../mesh/core-mesh.js';
import type { Random } from '../mesh/random.js';
import { adminRequestOf } from './admin-request.js';
import { type CallResult, History, isStale, partsOf, type RecordedCall } from './history.js';
import { LeaseCalls } from './lease-calls.js';
import { LockCalls } from './lock-calls.js';
import { VirtualClient } from './virtual-client.js';
import { VirtualWatch } from './virtual-watch.js';
import { WatchRules } from './watch-rules.js';

/** The name of the operator's connection. */
export const operatorName = 'operator';

/** A command of the operator and its outcome. */
export interface RecordedCommand {
  readonly command: OperatorCommand;
  readonly invokedMs: number;
  settlement?: Settlement | undefined;
}

type Fields = Record<string, unknown>;

export class VirtualClients {
  readonly history = new History();
  readonly commands: RecordedCommand[] = [];
  private readonly clients = new Map<string, VirtualClient>();
  private readonly chances = new Map<string, Random>();
  /** By client and key: the last revision that the client has seen. */
  private readonly seen = new Map<string, number>();
  private readonly lockCalls = new LockCalls();
  private readonly leaseCalls = new LeaseCalls();
  private readonly watches = new Map<string, VirtualWatch>();

  constructor(private readonly mesh: CoreMesh) {
    const rules = new WatchRules(mesh);
    mesh.onPublished = (actor, watchId, message) => {
      rules.onPublished(actor, watchId);
      const [owner = ''] = watchId.split('.');
      this.watches.get(owner)?.publish(actor, watchId, message);
    };
    mesh.onEvent = (actor, { name }) => {
      if (name !== 'leader_elected') return;
      for (const client of this.clients.values()) client.publishElection(actor);
    };
  }

  /** @returns the call, which changes when it is answered */
  call(command: ClientCommand, onSettled?: (settlement: Settlement) => void): RecordedCall {
    const { client, operation, key } = command;
    const expectedRevision = 'revision' in command ? this.revision(command) : undefined;
    const recorded = this.history.add({
      client,
      operation,
      key,
      ...('at' in command && command.at !== undefined ? { at: command.at } : {}),
      ...('by' in command && command.by !== undefined ? { by: command.by } : {}),
      ...('value' in command ? { value: command.value } : {}),
      ...('ttl' in command ? { ttlMs: command.ttl } : {}),
      ...('other' in command ? { other: command.other } : {}),
      ...(expectedRevision === undefined ? {} : { expectedRevision }),
      invokedMs: this.mesh.nowMs,
      outcome: 'unknown',
    });
    const settled = (settlement: Settlement, groupUid?: string): void => {
      this.onSettled(recorded, settlement, groupUid);
      onSettled?.(settlement);
    };
    if (operation === 'lock' || operation === 'unlock') {
      this.lockCalls.call(this.client(client), recorded, settled);
      return recorded;
    }
    if (isOfLease(command)) {
      this.leaseCalls.call(this.client(client), command, recorded, settled);
      return recorded;
    }
    const call = operation === 'get' ? readOf(command) : writeOf(command, expectedRevision ?? 0);
    this.client(client).call(call, settled);
    return recorded;
  }

  operate(command: OperatorCommand, onSettled?: (settlement: Settlement) => void): RecordedCommand {
    const recorded: RecordedCommand = { command, invokedMs: this.mesh.nowMs };
    this.commands.push(recorded);
    const { name, body, peerId } = adminRequestOf(command);
    this.client(operatorName).call({ operation: 'admin', command: name, body, peerId }, (settlement) => {
      recorded.settlement = settlement;
      this.mesh.coverage.count(`answer ${command.type} ${settlementText(settlement)}`);
      onSettled?.(settlement);
    });
    return recorded;
  }

  /** Starts a watch of the keys with this prefix, from the first revision on, until the run ends. */
  watch(prefix: string): void {
    const name = `w${this.watches.size + 1}`;
    const watch = new VirtualWatch(this.mesh, name, prefix, (watched) => this.history.watched.push(watched));
    this.watches.set(name, watch);
  }

  /** Crashes a client; the next call of that name is of a new one. */
  crash(name: string): void {
    const client = this.clients.get(name);
    if (client === undefined) return;
    this.mesh.coverage.count('crash of a client');
    client.crash();
    this.lockCalls.forget(name);
    this.leaseCalls.forget(name);
    this.clients.delete(name);
  }

  get openCalls(): number {
    return [...this.clients].reduce((sum, [name, client]) => sum + (name === operatorName ? 0 : client.openCalls), 0);
  }

  /** Settles all open calls. */
  close(): void {
    for (const client of this.clients.values()) client.close();
    for (const watch of this.watches.values()) watch.close();
  }

  private client(name: string): VirtualClient {
    const known = this.clients.get(name);
    if (known !== undefined) return known;
    // One random stream over all its generations.
    const random = this.chances.get(name) ?? this.mesh.random.stream(name);
    this.chances.set(name, random);
    const client = new VirtualClient(this.mesh, name, random);
    this.clients.set(name, client);
    return client;
  }

  private revision(command: Extract<ClientCommand, { operation: 'cas' | 'txn' }>): number {
    if (command.revision !== 'last') return command.revision;
    return this.seen.get(`${command.client} ${command.key}`) ?? 0;
  }

  private onTransaction({ client, key, other = '', result }: RecordedCall): void {
    const [first, second] = result?.parts ?? [];
    if (result === undefined || first === undefined || second === undefined) return;
    this.mesh.coverage.count(result.changed ? 'txn found what it expects' : 'txn found something else');
    this.seen.set(`${client} ${key}`, first[0] === 'get' ? first[2] : first[1]);
    this.seen.set(`${client} ${other}`, second[0] === 'get' ? second[2] : second[0] === 'delete' ? 0 : second[1]);
  }

  private onSettled(recorded: RecordedCall, settlement: Settlement, groupUid: string | undefined): void {
    const { operation, client, key } = recorded;
    const name = operation === 'get' ? `${kindOf(recorded)}${operation}` : operation;
    this.mesh.coverage.count(`answer ${name} ${settlementText(settlement)}`);
    recorded.settledMs = this.mesh.nowMs;
    if (settlement.outcome !== 'done') {
      recorded.outcome = settlement.outcome;
      recorded.code = settlement.error.code;
      this.leaseCalls.count(recorded, this.mesh.coverage);
      return;
    }
    recorded.outcome = 'ok';
    if (groupUid !== undefined) recorded.groupUid = groupUid;
    recorded.result = resultOf(settlement.result as Fields);
    if (operation === 'lock' || operation === 'unlock') return this.lockCalls.count(recorded, this.mesh.coverage);
    this.leaseCalls.count(recorded, this.mesh.coverage);
    if (operation === 'grant' || operation === 'keep' || operation === 'revoke') return;
    if (operation === 'txn') return this.onTransaction(recorded);
    const { revision, changed } = recorded.result;
    if (operation === 'cas') this.mesh.coverage.count(changed ? 'cas swapped' : 'cas not swapped');
    if (!isStale(recorded)) this.seen.set(`${client} ${key}`, operation === 'delete' ? 0 : revision);
  }
}

/** Whether it names a lease of the client. */
function isOfLease(command: ClientCommand): boolean {
  const { operation } = command;
  if (operation === 'put') return command.lease !== undefined;
  return operation === 'grant' || operation === 'keep' || operation === 'revoke';
}

function transactionOf(command: Extract<ClientCommand, { operation: 'txn' }>, expectedRevision: number): WriteCall {
  const parts = partsOf({ ...command, expectedRevision });
  return {
    operation: 'txn',
    compare: parts.compare.map(([key, revision]) => [key, 'revision', '=', revision]),
    operations: parts.then.map((part) => [...part] as Operation),
    otherwise: parts.else.map((part) => [...part] as Operation),
  };
}

function readOf({ key, at, by }: Extract<ClientCommand, { operation: 'get' }>): Call {
  const consistency = by === 'quorum' ? 'linearizable' : (by ?? (at === undefined ? undefined : 'stale'));
  return {
    operation: 'get',
    key,
    ...(consistency === undefined ? {} : { consistency }),
    ...(at === undefined ? {} : { peerId: at as PeerId }),
  };
}

/** Returns how a read was requested, in a word; empty: the default. */
function kindOf(call: RecordedCall): string {
  if (isStale(call)) return 'stale ';
  const who = call.at === undefined ? '' : 'follower ';
  return who + (call.by === 'lease' ? 'lease ' : '');
}

function writeOf(command: ClientCommand, expectedRevision: number): WriteCall {
  const { key } = command;
  switch (command.operation) {
    case 'put':
      return { operation: 'put', key, value: command.value };
    case 'cas':
      return { operation: 'cas', key, value: command.value, expectedRevision };
    case 'txn':
      return transactionOf(command, expectedRevision);
    default:
      return { operation: 'delete', key };
  }
}

function resultOf({ revision, token, value, results, ...fields }: Fields): CallResult {
  const changed =
    fields.swapped ?? fields.deleted ?? fields.succeeded ?? fields.acquired ?? fields.released ?? fields.revoked;
  return {
    revision: (revision ?? token) as number,
    ...(results === undefined ? {} : { parts: results as OperationResult[] }),
    ...(value === undefined ? {} : { value: value as string | null }),
    ...(changed === undefined ? {} : { changed: changed as boolean }),
  };
}

/** Returns the outcome in a few words, for the coverage. */
export function settlementText(settlement: Settlement): string {
  return settlement.outcome === 'done' ? 'ok' : `${settlement.outcome} ${settlement.error.code}`;
}
