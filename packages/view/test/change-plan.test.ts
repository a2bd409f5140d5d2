import { describe, expect, it } from 'vitest';
import { planChange, ViewModel } from '../src/index.js';
import { event, progress, status } from './samples.js';

const info = { group: 'main', time: 'wall' } as const;

/** {n1,n2,n3}, led by n1; n4 and n5 run too. */
function stateOf() {
  const model = new ViewModel(info);
  model.fold([
    event(1, 'leader_elected', 'n1', { peers: ['n1', 'n2', 'n3'], old_peers: [] }),
    status(2, 'n1', { role: 'leader', progress: [progress('n2', 100), progress('n3', 100)] }),
    ...['n2', 'n3', 'n4', 'n5'].map((peer) => status(3, peer)),
  ]);
  return model;
}

const textsOf = (facts: readonly { text: string; tone: string }[]) => facts.map(({ tone, text }) => `${tone}: ${text}`);

describe('the plan of a change', () => {
  it('says that two new peers catch up, and that both majorities are needed', () => {
    const plan = planChange(stateOf().state, ['n1', 'n4', 'n5']);
    expect(plan).toMatchObject({
      adding: ['n4', 'n5'],
      removing: ['n2', 'n3'],
      stages: ['catching_up', 'joint', 'stable'],
      isPossible: true,
    });
    expect(textsOf(plan.facts)).toEqual([
      'plain: n4 must first receive the log (100 entries) or a snapshot. It counts in no majority until then.',
      'plain: n5 must first receive the log (100 entries) or a snapshot. It counts in no majority until then.',
      'plain: In the joint stage each entry needs a majority of the old members and one of the new members.',
      'good: A majority of the old members is 2 of 3; 3 can be reached.',
      'good: A majority of the new members is 2 of 3; 3 can be reached.',
      'good: Afterwards the group survives the loss of 1 of 3 peers (now 1 of 3).',
    ]);
  });

  it('skips the joint stage where one peer is added or removed', () => {
    expect(planChange(stateOf().state, ['n1', 'n2', 'n3', 'n4']).stages).toEqual(['catching_up', 'stable']);
    expect(planChange(stateOf().state, ['n1', 'n2']).stages).toEqual(['stable']);
    expect(planChange(stateOf().state, ['n1', 'n2', 'n3']).stages).toEqual([]);
  });

  it('says which majority could not be reached, and that a new peer is not there', () => {
    const model = stateOf();
    model.fold([
      { at: 4, kind: 'fault', fault: 'kill', peer: 'n2', condition: 'down', text: 'n2 is killed' },
      { at: 4, kind: 'fault', fault: 'kill', peer: 'n3', condition: 'down', text: 'n3 is killed' },
    ]);
    const plan = planChange(model.state, ['n1', 'n4', 'n9']);
    expect(plan.isPossible).toBe(false);
    const bad = textsOf(plan.facts).filter((text) => text.startsWith('bad'));
    expect(bad).toEqual([
      'bad: n9 is not reachable: the change would fail with ECATCHUP, and the members would stay as they are.',
      'bad: A majority of the old members is 2 of 3; 1 can be reached: its entry could not be committed.',
    ]);
  });

  it('says that a leader which is removed transfers its leadership, and that fewer peers survive fewer losses', () => {
    const texts = textsOf(planChange(stateOf().state, ['n2']).facts);
    expect(texts).toContain(
      'warning: The change removes the leader n1: at its end n1 transfers the leadership to the most up-to-date new member.',
    );
    expect(texts).toContain('warning: Afterwards the group survives the loss of 0 of 1 peers (now 1 of 3).');
  });
});
