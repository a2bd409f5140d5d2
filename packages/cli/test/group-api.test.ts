/** The group API in the process that writes a peer's logs: what many requests cost it. */
import { type Request, silentLog } from '@conclave/actor';
import { asGroupId, asPeerId, type Encoding, encodeAs, limits, Subjects } from '@conclave/protocol';
import { expect, it } from 'vitest';
import { GroupApi } from '../src/run/group-api.js';

/** One that notes what it is answered. */
class Asked {
  readonly answers: unknown[] = [];
  readonly bytes = 2;
  readonly caller = { name: '', source: 'unknown' } as const;

  constructor(
    readonly name: string,
    readonly encoding: Encoding,
    private readonly body: unknown = {},
  ) {}

  decode(): unknown {
    return this.body;
  }

  reply(body: unknown): boolean {
    return this.replyEncoded(encodeAs(body, this.encoding));
  }

  replyEncoded(data: Uint8Array): boolean {
    this.answers.push(data);
    return true;
  }

  refuse(error: unknown): void {
    this.answers.push(error);
  }

  drop(): void {}
}

function startApi() {
  const counted = { lists: 0 };
  let receive: (request: Request) => void = () => undefined;
  let wake = (): void => undefined;
  // A disk that stands still until it is woken.
  const woken = new Promise<void>((resolve) => {
    wake = resolve;
  });
  const groups = { version: 1, groups: [], find: () => undefined, add: () => woken };
  const dependencies = {
    connection: { publish: () => true, settled: async () => undefined },
    requests: {
      publishEvent: () => undefined,
      isServed: async () => true,
      ask: async (subject: string) => {
        const [, group_id, peer_id, actor] = subject.split('.');
        return { group_id, peer_id, actor, incarnation: 'i-1', healthy: true, reason: '', dropped: {} };
      },
      serveSubject: (_subject: string, _counts: unknown, onRequest: typeof receive) => {
        receive = onRequest;
        return { close: async () => undefined };
      },
    },
    subjects: new Subjects('conclave'),
    host: { follow: async () => undefined },
    store: {
      groups,
      stored: () => {
        counted.lists += 1;
        return { store_id: 's', group_uid: 'u', last_index: 1 };
      },
      writes: { submitted: 0, synced: 0 },
    },
    log: silentLog,
  };
  const options = { peer: asPeerId('n1'), groups: [asGroupId('main')], actors: ['log-store'] as const };
  const made = new GroupApi(options, dependencies as never);
  return { made, counted, wake, send: (request: Asked) => receive(request) };
}

it('a list is made once for all requests of one turn of the event loop, and each gets a reply', async () => {
  const { made, counted, send } = startApi();
  await made.start();
  const asked = Array.from({ length: 50_000 }, (_, at) => new Asked('list_groups', at % 2 === 0 ? 'json' : 'msgpack'));
  for (const one of asked) send(one);
  expect(counted.lists).toBe(2);
  expect(asked.filter(({ answers }) => answers.length !== 1 || !(answers[0] instanceof Uint8Array))).toEqual([]);
  await made.close();
});

it('a list waits for no command, and commands past the bound are refused at once, all with one refusal', async () => {
  const { made, wake, send } = startApi();
  await made.start();
  const commands = Array.from(
    { length: limits.hostCommands + 2 },
    (_, at) => new Asked('create_group', 'json', { group_id: `g${at}` }),
  );
  for (const one of commands) send(one);
  const [first, second] = commands.slice(-2);
  expect(first?.answers).toMatchObject([{ code: 'EBUSY', outcome: 'not_done' }]);
  expect(second?.answers[0]).toBe(first?.answers[0]);
  const list = new Asked('list_groups', 'json');
  send(list);
  expect(list.answers[0]).toBeInstanceOf(Uint8Array);
  wake();
  await made.close();
});

it('a list that is asked for in a way that makes no sense is refused', async () => {
  const { made, send } = startApi();
  await made.start();
  const asked = new Asked('list_groups', 'json', 7);
  send(asked);
  expect(asked.answers).toMatchObject([{ code: 'EINVAL', outcome: 'not_done' }]);
  await made.close();
});
