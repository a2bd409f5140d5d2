/** What must hold after the faults: the group is stable, serves, and has the same state at all members. */
import type { StatusReply, Value } from '@conclave/protocol';
import { until } from '../mesh/fault-mesh.js';
import { peersOf } from '../mesh/membership-stages.js';
import { actorKinds } from '../support/peers.js';
import type { PlainClient } from '../support/plain-client.js';
import { type PeerName, peerNames } from './chaos-plan.js';

/** Of a key at a peer: its value and revision. */
export type Found = readonly [Value | null, number];

const answerWithinMs = 1000;
const keysAtOnce = 500;

export class Aftermath {
  constructor(
    private readonly plain: PlainClient,
    private readonly withinMs: number,
  ) {}

  /**
   * Waits until one peer leads, no change is in progress, and all members are healthy followers; @returns the leader's
   * status.
   */
  atRest(what = 'the group is at rest'): Promise<StatusReply> {
    return until(what, () => this.restOnce(), this.withinMs);
  }

  /** Waits until the group is stable and stays so during `work`. */
  async stable(work: () => Promise<boolean>): Promise<StatusReply> {
    return until(
      'the group stays at rest while clients work',
      async () => {
        const before = await this.restOnce();
        if (!(await work())) throw new Error('a call was not done');
        const after = await this.restOnce();
        const same = (status: StatusReply) => JSON.stringify([status.peer_id, status.term, status.configuration_index]);
        if (same(before) !== same(after)) throw new Error(`${same(before)} has become ${same(after)}`);
        return after;
      },
      this.withinMs,
    );
  }

  /** Changes the group to these peers; @returns the leader's status afterwards. */
  async change(newPeers: readonly PeerName[]): Promise<StatusReply> {
    await until(
      `a change to ${newPeers}`,
      async () => {
        const { body, errorCode } = await this.plain.ask('admin.change_peers', { new_peers: newPeers }, this.withinMs);
        if (errorCode !== 0) throw new Error(JSON.stringify(body));
        return true;
      },
      this.withinMs,
    );
    return this.atRest(`the group is at rest after a change to ${newPeers}`);
  }

  /** What a peer has of these keys, by its own state, once it has applied all that is committed now. */
  async stateOf(peer: string, keys: readonly string[]): Promise<Map<string, Found>> {
    const { commit_index } = await this.restOnce();
    await until(
      `${peer} has applied ${commit_index}`,
      async () => ((await this.statusOnce(peer)).applied_index >= commit_index ? true : undefined),
      this.withinMs,
    );
    const state = new Map<string, Found>();
    for (let at = 0; at < keys.length; ) {
      const some = keys.slice(at, at + keysAtOnce);
      const { found } = await this.plain.insist(`${peer}.kv.batch_get`, { keys: some, consistency: 'stale' });
      const values = found as Found[];
      if (values.length === 0) throw new Error(`an empty answer of ${peer} to batch_get`);
      for (const [place, each] of values.entries()) state.set(some[place] as string, each);
      at += values.length;
    }
    return state;
  }

  private async restOnce(): Promise<StatusReply> {
    const statuses = await Promise.all(peerNames.map((name) => this.statusOnce(name)));
    const [leader, ...others] = statuses.filter(({ role }) => role === 'leader');
    const roles = () => statuses.map(({ peer_id, role, term }) => `${peer_id}: ${role} of ${term}`).join(', ');
    if (leader === undefined || others.length > 0) throw new Error(roles());
    const { stage, configuration, configuration_index, commit_index } = leader;
    if (stage !== 'none' || configuration?.old_peers.length !== 0) throw new Error(`${leader.peer_id}: stage ${stage}`);
    if (commit_index < configuration_index) throw new Error(`${leader.peer_id}: the configuration is not committed`);
    const members = peersOf(leader);
    for (const status of statuses.filter(({ peer_id }) => members.includes(peer_id))) {
      const { peer_id, health, leader_id } = status;
      if (!health.healthy) throw new Error(`${peer_id}: ${health.reason}`);
      if (leader_id !== leader.peer_id) throw new Error(`${peer_id} takes ${leader_id || 'nobody'} for the leader`);
      if (status.configuration_index !== configuration_index) throw new Error(`${peer_id}: another configuration`);
      await this.checkActors(peer_id);
    }
    return leader;
  }

  private async checkActors(peer: string): Promise<void> {
    for (const actor of actorKinds) {
      const { body } = await this.plain.ask(`${peer}.${actor}.health`, {}, answerWithinMs);
      if (body.healthy !== true) throw new Error(`the ${actor} of ${peer}: ${body.reason}`);
    }
  }

  private async statusOnce(peer: string): Promise<StatusReply> {
    const { body, errorCode } = await this.plain.ask(`${peer}.admin.status`, {}, answerWithinMs).catch((error) => {
      throw new Error(`${peer} does not answer`, { cause: error });
    });
    if (errorCode !== 0) throw new Error(`${peer}: ${JSON.stringify(body)}`);
    return body as unknown as StatusReply;
  }
}

/** Returns the differences between a peer's state and the expected one, one line each. */
export function differences(
  peer: string,
  state: ReadonlyMap<string, Found>,
  wanted: ReadonlyMap<string, Found>,
): string[] {
  const lines: string[] = [];
  for (const [key, found] of wanted) {
    const there = state.get(key);
    if (JSON.stringify(there) !== JSON.stringify(found)) {
      lines.push(`${key} is ${JSON.stringify(there)} at ${peer}, not ${JSON.stringify(found)}`);
    }
  }
  return lines;
}
