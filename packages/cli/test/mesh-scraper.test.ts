import { Subjects } from '@conclave/protocol';
import { violationOf } from '@conclave/protocol/login';
import { connect } from 'nats';
import { expect, it, onTestFinished } from 'vitest';
import { startNats } from '../../../test/support/nats.js';
import { MeshScraper } from '../src/metrics/mesh-scraper.js';

const configuration = `authorization { timeout: 60, users: [
  { user: peer, password: p }
  { user: observer, password: p, permissions: { publish: { deny: "conclave.other.>" } } }
] }`;

it('the metrics of a group that NATS does not permit are not requested at each scrape', async () => {
  const server = await startNats({ configuration });
  onTestFinished(() => server.stop());
  const [peer, observer] = (await Promise.all(
    ['peer', 'observer'].map((user) => connect({ servers: server.url, user, pass: 'p' })),
  )) as [Awaited<ReturnType<typeof connect>>, Awaited<ReturnType<typeof connect>>];
  onTestFinished(async () => void (await Promise.all([peer.close(), observer.close()])));
  const info = {
    metadata: { group_id: 'other', peer_id: 'n1' },
    endpoints: [{ subject: 'conclave.other.n1.admin.*' }],
  };
  let discovered = 0;
  peer.subscribe('$SRV.INFO.conclave', {
    callback: (_, request) => {
      discovered += 1;
      request.respond(JSON.stringify(info));
    },
  });
  await peer.flush();
  const refused: string[] = [];
  const follow = async (): Promise<void> => {
    for await (const status of observer.status()) {
      const violation = status.type === 'error' ? violationOf(status.error) : undefined;
      if (violation !== undefined) refused.push(violation.subject);
    }
  };
  void follow();

  const scraper = new MeshScraper(observer, new Subjects(), { timeoutMs: 2000 });
  const upOf = async () => (await scraper.scrape()).filter(({ labels }) => labels.group === 'other');
  expect(await upOf()).toEqual([]);
  await observer.flush();
  const first = refused.length;
  expect(first).toBeGreaterThan(0);
  expect(await upOf()).toEqual([]);
  await observer.flush();
  expect([discovered, refused.length]).toEqual([2, first]);
});
