import { asGroupId } from '@conclave/protocol';
import { describe, expect, it } from 'vitest';
import { wantedGroups } from '../src/run/group-list.js';
import { GroupSupervisor, type Hosted } from '../src/run/group-supervisor.js';

const [a, b] = [asGroupId('a'), asGroupId('b')];

/** What is started and stopped, in order, and the incarnations that were drawn. */
function hosting(stopping: () => Promise<void> = async () => undefined) {
  const said: string[] = [];
  const incarnations = new Set<string>();
  const host = new GroupSupervisor(['node', 'log-store'], (groupId, kind, incarnation): Hosted => {
    said.push(`start ${kind} of ${groupId}`);
    incarnations.add(incarnation);
    return {
      kind,
      requests: { close: () => said.push(`close the subscription of ${kind} of ${groupId}`) },
      actor: {
        start: () => undefined,
        stop: async () => {
          await stopping();
          said.push(`stop ${kind} of ${groupId}`);
        },
        health: () => ({ healthy: true, reason: '' }),
        dropped: {},
        samples: () => [],
      },
    };
  });
  return { host, said, incarnations };
}

const startedA = ['start log-store of a', 'start node of a'];
const stoppedA = [
  'close the subscription of node of a',
  'stop node of a',
  'close the subscription of log-store of a',
  'stop log-store of a',
];

describe('GroupSupervisor', () => {
  it('starts new groups, stops removed ones, and leaves the others alone', async () => {
    const { host, said } = hosting();
    await host.follow(new Map([[a, '']]));
    const both = [a, b].map((groupId) => [groupId, ''] as const);
    await host.follow(new Map(both));
    expect(said.splice(0)).toEqual([...startedA, 'start log-store of b', 'start node of b']);
    await host.follow(new Map([[b, '']]));
    expect(said).toEqual(stoppedA);
  });

  it('starts another group of the same name, and not before the first one has stopped', async () => {
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const { host, said, incarnations } = hosting(() => held);
    await host.follow(new Map([[a, 'first']]));
    const following = Promise.all([host.follow(new Map()), host.follow(new Map([[a, 'second']]))]);
    await new Promise((resolve) => setImmediate(resolve));
    expect(said).toEqual([...startedA, stoppedA[0]]);
    release();
    await following;
    expect(said).toEqual([...startedA, ...stoppedA, ...startedA]);
    expect(incarnations.size).toBe(2);
  });

  it('starts nothing more once it was stopped', async () => {
    const { host, said } = hosting();
    await host.follow(new Map([[a, '']]));
    await host.stop();
    await host.follow(new Map([[b, '']]));
    expect(said).toEqual([...startedA, ...stoppedA]);
  });
});

describe('the groups that are wanted', () => {
  it('are those of the options, and those that were created', () => {
    const created = [
      { group_id: a, hosting_id: 'x' },
      { group_id: b, hosting_id: 'y' },
    ];
    expect([...wantedGroups([a], created)]).toEqual([
      [a, ''],
      [b, 'y'],
    ]);
  });
});
