/** Bursts of 50,000 requests of each kind, ten times, from one connection and from fifty: `npm run test:exhaustive`. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Mesh, Stops } from '../mesh/fault-mesh.js';
import { discoveryKinds, Flood, type FloodResult, floodKinds, peakMemoryMb } from '../support/flood.js';
import { type NatsServer, startNats } from '../support/nats.js';

const names = ['n1', 'n2', 'n3'];
const burst = 50_000;
const bursts = 10;
const stops = new Stops();
let mesh: Mesh;
let server: NatsServer;

beforeAll(async () => {
  server = await startNats();
  stops.add(() => server.stop());
  mesh = await Mesh.found({ servers: [server], peers: names, placement: 'four' }, stops);
});

afterAll(() => stops.run());

/** Bootstrap makes n1 the first leader: n2 follows while no flood costs an election. */
const kinds = [
  ...floodKinds('n2').map((kind) => ({ kind, replies: 1 })),
  ...discoveryKinds.map((kind) => ({ kind, replies: 3 })),
];

/** The replies of all bursts, by error code and outcome. */
function sumOf(results: readonly FloodResult[]): Record<string, number> {
  const sum: Record<string, number> = {};
  for (const { replies } of results) {
    for (const [reply, times] of Object.entries(replies)) sum[reply] = (sum[reply] ?? 0) + times;
  }
  return sum;
}

describe.each([1, 50])('promise 28: ten bursts of 50,000 requests from %i connections', (connections) => {
  it.each(kinds)(
    '$kind.name: one reply for each, no election, bounded memory',
    async ({ kind, replies }) => {
      const flood = await Flood.open(server.url, connections);
      const before = mesh.plain.events.length;
      const { term, peer_id } = await mesh.leaderStatus();
      const results: FloodResult[] = [];
      try {
        for (let round = 0; round < bursts; round++) results.push(await flood.burst(kind, burst / replies, replies));
      } finally {
        await flood.close();
      }
      console.log(`${kind.name}, ${connections} connections, replies: ${JSON.stringify(sumOf(results))}`);
      const missed = results.filter(({ unanswered, answeredTwice }) => unanswered + answeredTwice > 0);
      expect(missed).toEqual([]);
      // A request that makes no sense is refused by other means than those that are meant.
      if (kind.name !== 'garbage') expect(Object.keys(sumOf(results))).not.toContain('EINVAL not_done');
      expect(mesh.plain.events.slice(before).filter(({ name }) => name.startsWith('leader_'))).toEqual([]);
      expect(await mesh.leaderStatus()).toMatchObject({ peer_id, term });
      const processes = names.flatMap((each) => mesh.peer(each).processes);
      const peaks = processes.map((each) => ({ name: each.name, mb: peakMemoryMb(each.processId ?? 0) }));
      console.log(`peak memory, MiB: ${peaks.map(({ name, mb }) => `${name} ${Math.round(mb)}`).join(', ')}`);
      expect(peaks.filter(({ mb }) => !(mb < 800))).toEqual([]);
    },
    600_000,
  );
});
