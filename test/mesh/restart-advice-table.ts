/** Promise 27: the table of restart advice, for a group of that many peers. */
import { afterAll, describe, expect, it } from 'vitest';
import { startNats } from '../support/nats.js';
import { Mesh, Stops } from './fault-mesh.js';
import { adviceCases, runAdviceCase, runWithoutFault } from './restart-advice.js';

export function testAdviceTable(size: number): void {
  describe(`promise 27: in a group of ${size}`, () => {
    const names = Array.from({ length: size }, (_, at) => `n${at + 1}`);
    const stops = new Stops();
    let mesh: Mesh;
    afterAll(() => stops.run());

    it('each peer may be restarted in a healthy group, and the group commits without it', async () => {
      const server = await startNats();
      stops.add(() => server.stop());
      mesh = await Mesh.found({ servers: [server], peers: names, placement: 'four' }, stops);
      await runWithoutFault(mesh, names);
    });

    it.each(adviceCases)(
      'each peer that may be restarted can be stopped while the $actor of a $of is $fault',
      async (asked) => {
        const stopped = await runAdviceCase(mesh, names, asked);
        console.log(`${size} peers, ${asked.actor} of a ${asked.of} ${asked.fault}: stopped ${stopped.join(' ')}`);
        expect(stopped.length).toBe(size === 5 ? 5 : stopped.length);
      },
    );
  });
}
