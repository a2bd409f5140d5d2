/** Bursts of requests of each kind against real processes; `test/exhaustive/floods.test.ts` has larger ones. */
import { adminCommands, hostCommands, kvOperations, processCommands } from '@conclave/protocol';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { discoveryKinds, Flood, floodKinds, peakMemoryMb } from '../support/flood.js';
import { startNats } from '../support/nats.js';
import { Mesh, Stops } from './fault-mesh.js';

const names = ['n1', 'n2', 'n3'];
/**
 * Another test file runs on the same machine, and takes the processor from these peers for as long as an election
 * takes: only what a flood delays by seconds may cost an election here. `npm run test:exhaustive` runs alone, with the
 * default timeout.
 */
const args = ['--election-timeout-ms', '3000'];
/** More than a node lets in at once. */
const burst = 17_500;
const stops = new Stops();
let mesh: Mesh;
let floods: Flood[];

beforeAll(async () => {
  const server = await startNats();
  stops.add(() => server.stop());
  mesh = await Mesh.found({ servers: [server], peers: names, placement: 'four', args }, stops);
  for (const connections of [1, 50]) {
    const flood = await Flood.open(server.url, connections);
    stops.add(() => flood.close());
    floods = [...(floods ?? []), flood];
  }
});

afterAll(() => stops.run());

describe('promise 28: a burst of requests', () => {
  it('is sent of each command and operation that there is', () => {
    const sent = new Set(floodKinds('n2').map(({ subject }) => subject.slice(subject.lastIndexOf('.') + 1)));
    const all = [adminCommands, kvOperations, hostCommands, processCommands].flatMap((table) => Object.keys(table));
    expect(all.filter((each) => !sent.has(each))).toEqual([]);
  });

  it('gets one reply for each request, costs no election, and needs bounded memory', async () => {
    const { peer_id: leader, term } = await mesh.leaderStatus();
    const follower = names.find((name) => name !== leader) ?? '';
    const [single, many] = floods as [Flood, Flood];
    const before = mesh.plain.events.length;
    const elections = () => mesh.plain.events.slice(before).filter(({ name }) => name.startsWith('leader_'));
    for (const [at, kind] of floodKinds(follower, leader)
      .filter(({ isShort }) => isShort)
      .entries()) {
      const { unanswered, answeredTwice, replies } = await (at % 2 === 0 ? single : many).burst(kind, burst);
      expect({ kind: kind.name, replies, unanswered, answeredTwice }).toEqual({
        kind: kind.name,
        replies,
        unanswered: 0,
        answeredTwice: 0,
      });
      expect(elections(), kind.name).toEqual([]);
    }
    for (const kind of discoveryKinds) {
      const result = await single.burst(kind, 5000, names.length);
      expect(result).toEqual({ unanswered: 0, answeredTwice: 0, replies: { ok: names.length * 5000 } });
    }
    expect(await mesh.leaderStatus()).toMatchObject({ peer_id: leader, term });
    const processes = names.flatMap((name) => mesh.peer(name).processes);
    for (const { name, processId } of processes) {
      expect(peakMemoryMb(processId ?? 0), `the memory of ${name}`).toBeLessThan(600);
    }
  });
});
