/** A real Prometheus reads a real mesh; `promtool` tests the alert rules. Without Debian's package they are skipped. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, it } from 'vitest';
import { Mesh, Stops, until } from '../mesh/fault-mesh.js';
import { startExporter } from '../support/exporter.js';
import { startNats } from '../support/nats.js';
import { actorKinds } from '../support/peers.js';
import { findTool, startPrometheus } from '../support/prometheus.js';

const folder = fileURLToPath(new URL('../../deploy/monitoring/', import.meta.url));
const promtool = findTool('promtool');
const prometheus = findTool('prometheus');
const stops = new Stops();
afterAll(() => stops.run());

function run(command: string, args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd: folder, encoding: 'utf8' });
  return status === 0 ? 'ok' : `${stdout}${stderr}`;
}

it.skipIf(promtool === undefined)('promtool accepts the configuration and the rules, and their tests pass', () => {
  expect(run(promtool as string, ['check', 'config', 'prometheus.yml'])).toBe('ok');
  expect(run(promtool as string, ['check', 'rules', 'alerts.yml'])).toBe('ok');
  expect(run(promtool as string, ['test', 'rules', 'alerts-test.yml', 'alerts-days-test.yml'])).toBe('ok');
});

it.skipIf(prometheus === undefined)(
  'Prometheus scrapes a mesh by the exporter: all actors are up, every panel of the dashboard is valid, and a lost peer alerts',
  async () => {
    const server = await startNats();
    stops.add(() => server.stop());
    const names = ['n1', 'n2', 'n3'];
    const mesh = await Mesh.found({ servers: [server], peers: names, placement: 'one' }, stops);
    await mesh.healthy(...names);
    const page = await startExporter(server.url, stops);
    if (promtool !== undefined) {
      const text = await (await fetch(page)).text();
      const { stderr, stdout } = spawnSync(promtool, ['check', 'metrics'], { input: text, encoding: 'utf8' });
      expect(`${stdout}${stderr}`).toBe('');
    }
    const scraper = await startPrometheus(prometheus as string, page, `${folder}alerts.yml`);
    stops.add(() => scraper.stop());
    const up = await until('all actors are up', async () => {
      const found = await scraper.query('conclave_up == 1');
      return found.length === names.length * actorKinds.length ? found : undefined;
    });
    expect(up.map(({ metric }) => `${metric.peer} ${metric.actor}`).toSorted()).toEqual(
      names.flatMap((peer) => actorKinds.map((actor) => `${peer} ${actor}`)).toSorted(),
    );
    const { groups } = await scraper.api<{ groups: { rules: { name: string; lastError?: string }[] }[] }>('rules');
    expect(groups.flatMap(({ rules }) => rules.map(({ lastError }) => lastError ?? ''))).toEqual(
      expect.not.arrayContaining([expect.stringMatching(/./)]),
    );
    for (const expression of dashboardExpressions()) await scraper.query(expression);
    const leader = await mesh.leaderStatus();
    const [lost] = names.filter((name) => name !== leader.peer_id) as [string];
    await mesh.kill(lost);
    await until('the actors of the lost peer are pending alerts', async () => {
      const found = await scraper.query(`ALERTS{alertname="ConclaveActorDown",peer="${lost}"}`);
      return found.length === actorKinds.length ? true : undefined;
    });
  },
);

/** The expressions of the dashboard, with its variables replaced. */
function dashboardExpressions(): string[] {
  const { panels } = JSON.parse(readFileSync(`${folder}grafana/dashboard.json`, 'utf8')) as {
    panels: { targets?: { expr: string }[] }[];
  };
  return panels.flatMap(({ targets = [] }) =>
    targets.map(({ expr }) =>
      expr.replaceAll('$__rate_interval', '1m').replaceAll('"$group"', '".*"').replaceAll('"$peer"', '".*"'),
    ),
  );
}
