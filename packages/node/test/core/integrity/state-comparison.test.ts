import type { StateMachine } from '@conclave/actor/core';
import {
  asGroupId,
  asLogIndex,
  asPeerId,
  asTerm,
  type Body,
  type GroupUid,
  limits,
  type Message,
  type StoreId,
} from '@conclave/protocol';
import { describe, expect, test } from 'vitest';
import type { NodeOptions } from '../../../src/core/inputs-and-effects.js';
import { Quarantine } from '../../../src/core/integrity/quarantine.js';
import { StateComparison } from '../../../src/core/integrity/state-comparison.js';
import { NodeState } from '../../../src/core/state/node-state.js';
import { StepContext } from '../../../src/core/step-context.js';
import { configuration } from '../format-effects.js';

const groupId = asGroupId('main');
const groupUid = 'uid' as GroupUid;

/** One member's comparison and quarantine, with everything around them played. */
class Member {
  readonly state: NodeState;
  readonly context: StepContext;
  readonly comparison: StateComparison;
  readonly quarantine: Quarantine;
  digest: string | undefined = 'right';
  nowMs = 10_000;
  readonly calls: string[] = [];

  constructor(peer: string, role: 'leader' | 'follower', { level = 1, members = 'n1 n2 n3', applied = 5 } = {}) {
    const peerId = asPeerId(peer);
    this.context = new StepContext({ groupId, peerId, electionTimeoutMs: 1000 } as NodeOptions);
    this.state = new NodeState(peerId);
    const { state } = this;
    state.storeId = `s${peer.slice(1)}` as StoreId;
    state.groupUid = groupUid;
    state.role = role;
    state.term = asTerm(2);
    state.leaderId = asPeerId('n1');
    state.log.load({
      base: { index: asLogIndex(0), term: asTerm(0) },
      lastIndex: asLogIndex(5),
      termRuns: [{ first: asLogIndex(1), term: asTerm(2) }],
      configurations: [{ index: asLogIndex(1), configuration: { ...configuration(members), level } }],
    });
    state.commitIndex = asLogIndex(5);
    state.appliedIndex = asLogIndex(applied);
    const machine = { digest: () => this.digest } as unknown as StateMachine;
    this.quarantine = new Quarantine(this.context, state, {
      onBegun: () => void this.calls.push('begun'),
      onChanged: () => void this.calls.push(`kept ${this.state.divergence?.index ?? 0}`),
      onRestart: () => void this.calls.push('restart'),
    });
    this.comparison = new StateComparison(this.context, state, machine, {
      onCompared: (...compared) => this.quarantine.onCompared(...compared),
      onSnapshotWanted: (index) => void this.calls.push(`snapshot from ${index}`),
      snapshotWanted: () => this.quarantine.snapshotWanted,
    });
  }

  /** What it sends, events and answers, in short. */
  step(take: () => void): string[] {
    this.context.begin({ nowMs: this.nowMs, wallTimeMs: 0, random: 0 });
    take();
    return this.context.take().flatMap((effect) => {
      if (effect.type === 'send') return [`${effect.message.name} to ${effect.peerId}: ${shortOf(effect.message)}`];
      if (effect.type === 'event') return [`event ${effect.event.name}`];
      if (effect.type === 'reply') return [`reply ${JSON.stringify(effect.result)}`];
      return effect.type === 'refuse' ? [`refuse ${effect.error.code}`] : [];
    });
  }

  reported(peer: string, digest: string, over: Partial<Body<'node.state_digest'>> = {}): string[] {
    const from = { peer_id: asPeerId(peer), store_id: `s${peer.slice(1)}` as StoreId };
    const body = { group_id: groupId, group_uid: groupUid, ...from, term: asTerm(2), index: asLogIndex(5), digest };
    return this.step(() => this.comparison.onReported({ ...body, ...over }));
  }

  asked(index = 5): string[] {
    return this.step(() => this.comparison.onCompareState({ ...this.fromLeader, index: asLogIndex(index) }));
  }

  compared(agrees: boolean | null, digest = 'right'): string[] {
    this.asked();
    return this.step(() => this.comparison.onVerdict({ ...this.fromLeader, index: asLogIndex(5), agrees, digest }));
  }

  private get fromLeader() {
    return {
      group_id: groupId,
      group_uid: groupUid,
      leader_id: asPeerId('n1'),
      term: asTerm(2),
      target_store_id: this.state.storeId,
    };
  }
}

function shortOf({ body }: Message): string {
  const { index, digest, agrees, wants_snapshot_from: wants } = body as unknown as Record<string, unknown>;
  return [index, digest, agrees, wants].filter((word) => word !== undefined).join(' ');
}

const tick = (member: Member): string[] => member.step(() => member.comparison.onTick());

describe('a leader that compares states', () => {
  test('promise 31: asks every member for the digest after its own last entry, and finds the members that differ', () => {
    const leader = new Member('n1', 'leader');
    expect(tick(leader)).toEqual(['node.compare_state to n2: 5', 'node.compare_state to n3: 5']);
    expect(leader.reported('n2', 'right')).toEqual([]);
    expect(leader.reported('n3', 'wrong')).toEqual([
      'node.state_compared to n2: 5 right true',
      'node.state_compared to n3: 5 right false',
    ]);
    expect(leader.comparison.status().states).toMatchObject({ index: 5, differing: ['n3'], has_majority: true });
    expect(leader.comparison.agreeing([asPeerId('n2'), asPeerId('n3')])).toEqual(['n2']);
    expect(leader.quarantine.reason).toBe('');
  });

  test('promise 31: considers its state wrong if the others agree on another digest', () => {
    const leader = new Member('n1', 'leader');
    leader.digest = 'wrong';
    tick(leader);
    leader.reported('n2', 'right');
    expect(leader.reported('n3', 'right')).toContain('event state_diverged');
    expect(leader.calls).toEqual(['kept 5', 'begun', 'restart']);
    expect(leader.state.isElectable()).toBe(false);
  });

  test('considers no peer wrong if no majority agrees: all report, and none is repaired', () => {
    const leader = new Member('n1', 'leader', { members: 'n1 n2 n3 n4' });
    tick(leader);
    leader.reported('n2', 'right');
    leader.reported('n3', 'wrong');
    const lines = leader.reported('n4', 'wrong');
    expect(lines.filter((line) => line.startsWith('node.state_compared'))).toHaveLength(3);
    expect(lines).toContain('event state_diverged');
    expect(leader.quarantine.reason).toMatch(/no majority agrees/);
    expect(leader.calls).toEqual([]);
    expect(leader.state.divergence).toBeUndefined();
    const follower = new Member('n2', 'follower');
    expect(follower.compared(null, '')).toEqual(['event state_diverged']);
    expect(follower.calls).toEqual([]);
  });

  test('decides by those that answer within an election timeout, if they are a majority of all', () => {
    const leader = new Member('n1', 'leader');
    tick(leader);
    leader.reported('n2', 'right');
    leader.nowMs += 1000;
    expect(tick(leader)).toEqual(['node.state_compared to n2: 5 right true']);
    expect(leader.comparison.status().states).toMatchObject({ unanswered: ['n3'], differing: [] });
  });

  test('counts only digests of members, of this entry and of this term', () => {
    const leader = new Member('n1', 'leader');
    tick(leader);
    leader.reported('n9', 'wrong');
    leader.reported('n2', 'wrong', { store_id: 's7' as StoreId });
    leader.reported('n2', 'wrong', { index: asLogIndex(4) });
    leader.reported('n2', 'wrong', { term: asTerm(1) });
    expect(leader.context.dropped.state_digest_stale).toBe(4);
  });

  test('compares nothing in a group of level 0, nor with a state machine that has no digest', () => {
    const old = new Member('n1', 'leader', { level: 0 });
    expect(tick(old)).toEqual([]);
    expect(old.step(() => old.comparison.onCommand(1))).toEqual(['refuse EUNSUPPORTED']);
  });

  test('promise 31: `check` compares at once, and names the peers that did not answer', () => {
    const leader = new Member('n1', 'leader');
    tick(leader);
    leader.reported('n2', 'right');
    leader.reported('n3', 'right');
    expect(leader.step(() => leader.comparison.onCommand(7))).toHaveLength(2);
    let answered: string[] = [];
    for (let tries = 0; tries < 20 && answered.length === 0; tries++) {
      leader.reported('n2', 'right');
      leader.nowMs += 1000;
      answered = tick(leader).filter((line) => line.startsWith('reply'));
    }
    expect(answered[0]).toMatch(/"differing":\[\],"unanswered":\["n3"\],"has_majority":true/);
  });

  test('a `check` tries again if a member had applied a later entry before it was asked', () => {
    const leader = new Member('n1', 'leader');
    leader.step(() => leader.comparison.onCommand(7));
    leader.reported('n2', '');
    expect(leader.reported('n3', 'right').filter((line) => line.startsWith('reply'))).toEqual([]);
    expect(tick(leader)).toEqual(['node.compare_state to n2: 5', 'node.compare_state to n3: 5']);
    leader.reported('n2', 'right');
    expect(leader.reported('n3', 'right')[0]).toMatch(/^reply .*"unanswered":\[\]/);
  });
});

describe('a member that is compared', () => {
  test('reports the digest behind exactly that entry, now or when it has applied it', () => {
    expect(new Member('n2', 'follower').asked()).toEqual(['node.state_digest to n1: 5 right']);
    const behind = new Member('n2', 'follower', { applied: 3 });
    expect(behind.asked()).toEqual([]);
    expect(behind.state.compareIndex).toBe(5);
    behind.state.appliedIndex = asLogIndex(5);
    expect(behind.step(() => behind.comparison.onApplied())).toEqual(['node.state_digest to n1: 5 right']);
    expect(new Member('n2', 'follower').asked(4)).toEqual(['node.state_digest to n1: 4 ']);
  });

  test('promise 31: whose state differs restores it from its own snapshot and log, and then from one of the leader’s', () => {
    const member = new Member('n2', 'follower');
    expect(member.compared(false)).toEqual(['event state_diverged']);
    expect(member.calls).toEqual(['kept 5', 'begun', 'restart']);
    expect(member.quarantine.reason).toMatch(
      /^diverged: the state differs from the majority's at entry 5; it is being/,
    );
    expect(member.compared(false)).toEqual([]);
    expect(member.quarantine.snapshotWanted).toBe(5);
    expect(member.asked()).toEqual(['node.state_digest to n1: 5 right 5']);
    member.quarantine.onInstalled();
    expect(member.compared(true)).toEqual(['event state_repaired']);
    expect(member.quarantine.reason).toBe('');
    expect(member.state.divergence).toBeUndefined();
    expect(member.calls.at(-1)).toBe('kept 0');
  });

  test('promise 31: is in quarantine again after a crash, until a comparison agrees', () => {
    const member = new Member('n2', 'follower');
    member.step(() => member.quarantine.onOpened(asLogIndex(4)));
    expect(member.quarantine.reason).toMatch(/^diverged: .* at entry 4; it is being repaired/);
    expect(member.state.isElectable()).toBe(false);
    // The start was the first repair.
    expect(member.compared(false)).toEqual([]);
    expect(member.quarantine.snapshotWanted).toBe(5);
    member.quarantine.onInstalled();
    expect(member.compared(true)).toEqual(['event state_repaired']);
    expect(member.calls).toEqual(['kept 0']);
  });

  test('has its log-store keep what an opening found unkept', () => {
    const member = new Member('n2', 'follower');
    member.compared(false);
    member.calls.length = 0;
    member.step(() => member.quarantine.onOpened(asLogIndex(0)));
    expect(member.calls).toEqual(['kept 5']);
    member.step(() => member.quarantine.onOpened(asLogIndex(5)));
    expect(member.calls).toEqual(['kept 5']);
  });

  test('is in quarantine no more when an operator resets it to be alone', () => {
    const member = new Member('n2', 'follower');
    member.compared(false);
    member.step(() => member.quarantine.onReset());
    expect(member.state.divergence).toBeUndefined();
    expect(member.calls.at(-1)).toBe('kept 0');
  });

  test('begins a bounded number of repairs, and stays in quarantine after the last one', () => {
    const member = new Member('n2', 'follower');
    for (let times = 0; times < 20; times++) {
      member.compared(false);
      member.quarantine.onInstalled();
    }
    expect(member.state.divergence?.repairs).toBe(limits.stateRepairs);
    expect(member.quarantine.reason).toMatch(/was not repaired in 4 tries/);
    expect(member.state.isElectable()).toBe(false);
  });

  test('accepts no verdict of another leader, term, store or entry', () => {
    const member = new Member('n2', 'follower');
    member.asked();
    const body = { group_id: groupId, group_uid: groupUid, leader_id: asPeerId('n1'), term: asTerm(2) };
    const verdict = {
      ...body,
      target_store_id: member.state.storeId,
      index: asLogIndex(5),
      agrees: false,
      digest: 'x',
    };
    const others = [{ leader_id: asPeerId('n3') }, { term: asTerm(3) }, { index: asLogIndex(4) }];
    for (const other of [...others, { target_store_id: 's9' as StoreId }]) {
      member.step(() => member.comparison.onVerdict({ ...verdict, ...other }));
    }
    expect(member.context.dropped.state_compared_stale).toBe(4);
    expect(member.state.divergence).toBeUndefined();
  });
});
