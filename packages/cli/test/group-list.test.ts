/** A process of a peer that follows the list of groups which the process of its log-stores publishes. */
import { silentLog } from '@conclave/actor';
import { asGroupId, asPeerId, encodeJson, Subjects } from '@conclave/protocol';
import { describe, expect, it } from 'vitest';
import { GroupListFollower } from '../src/run/group-list.js';
import type { WantedGroups } from '../src/run/group-supervisor.js';

const options = { peer: asPeerId('n1'), groups: [asGroupId('main')] };
const writes = { asked: 0, synced: 0 };

/** A list as the process of the log-stores replies with it, or publishes it (`groups` have more fields in a reply). */
function listOf(version: number, ...names: string[]) {
  const groups = names.map((name) => ({
    ...{ group_id: name, hosting_id: `h-${name}`, fixed: false },
    ...{ store_id: '', group_uid: '', last_index: 0 },
  }));
  return { peer_id: 'n1', incarnation: 'i-1', version, groups, writes };
}

/** Starts a follower. What is around it: `started` has the groups that it must run, and `settle` ends each start. */
function startFollower(answer: () => Promise<unknown>) {
  let publish: (message: { data: Uint8Array }) => void = () => undefined;
  const started: string[] = [];
  const settle: { resolve: () => void; reject: (error: Error) => void }[] = [];
  const failures: unknown[] = [];
  const dependencies = {
    connection: {
      subscribe: (_subject: string, onMessage: typeof publish) => {
        publish = onMessage;
        return { unsubscribe: () => undefined };
      },
      nats: { isClosed: () => false },
    },
    requests: { ask: answer },
    subjects: new Subjects('conclave'),
    host: {
      follow: (wanted: WantedGroups) => {
        started.push([...wanted.keys()].join());
        return new Promise<void>((resolve, reject) => settle.push({ resolve, reject }));
      },
    },
    log: silentLog,
    fail: (error: unknown) => failures.push(error),
  };
  const starting = GroupListFollower.start(options, dependencies as never);
  const outcome = { text: 'starting' };
  starting.then(
    () => {
      outcome.text = 'started';
    },
    (error: Error) => {
      outcome.text = error.message;
    },
  );
  return { started, settle, failures, outcome, publish: (list: object) => publish({ data: encodeJson(list) }) };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

describe('GroupListFollower.start', () => {
  it('resolves only when the groups of the list run', async () => {
    const { started, settle, outcome } = startFollower(async () => listOf(1, 'a'));
    await turn();
    expect([started, outcome.text]).toEqual([['a,main'], 'starting']);
    settle[0]?.resolve();
    await turn();
    expect(outcome.text).toBe('started');
  });

  it('rejects if a group of the list cannot be started', async () => {
    const { settle, failures, outcome } = startFollower(async () => listOf(1, 'a'));
    await turn();
    settle[0]?.reject(new Error('there is no application'));
    await turn();
    expect([outcome.text, failures]).toEqual(['there is no application', []]);
  });

  it('starts the groups of the options if no list arrives', async () => {
    const { started, settle, outcome } = startFollower(async () => undefined);
    await turn();
    expect([started, outcome.text]).toEqual([['main'], 'starting']);
    settle[0]?.resolve();
    await turn();
    expect(outcome.text).toBe('started');
  });

  it('waits for a published list that is newer than the reply, and does not follow the reply', async () => {
    let reply: (list: unknown) => void = () => undefined;
    const asked = new Promise<unknown>((resolve) => {
      reply = resolve;
    });
    const { started, settle, outcome, publish } = startFollower(() => asked);
    publish(listOf(2, 'a', 'b'));
    reply(listOf(1, 'a'));
    await turn();
    expect([started, outcome.text]).toEqual([['a,b,main'], 'starting']);
    settle[0]?.resolve();
    await turn();
    expect(outcome.text).toBe('started');
  });
});

describe('a list that is published later', () => {
  it('is followed, and reported if one of its groups cannot be started', async () => {
    const { started, settle, failures, publish } = startFollower(async () => listOf(1, 'a'));
    await turn();
    settle[0]?.resolve();
    publish(listOf(2, 'b'));
    expect(started).toEqual(['a,main', 'b,main']);
    settle[1]?.reject(new Error('there is no application'));
    await turn();
    expect(failures).toEqual([new Error('there is no application')]);
  });
});
