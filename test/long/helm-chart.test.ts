/** The Helm chart, linted and rendered by Helm: the one that is installed, else what Go builds of its module. */
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { capture, root } from '../../scripts/run.mjs';

const release = 'v3.22.0';
const chart = path.join(root, 'deploy', 'helm', 'conclave');
const cache = path.join(root, '.cache', 'helm', release);
let helm = '';

beforeAll(async () => {
  helm = await findHelm();
}, 1_800_000);

async function findHelm(): Promise<string> {
  for (const candidate of ['helm', path.join(cache, 'helm')]) {
    if ((await capture(candidate, ['version', '--short'])).output.startsWith('v3.')) return candidate;
  }
  if ((await capture('go', ['version'])).code !== 0) {
    throw new Error('neither Helm 3 nor Go is here: install one of them (Debian: apt-get install golang)');
  }
  mkdirSync(cache, { recursive: true });
  const env = { ...process.env, GOBIN: cache, CGO_ENABLED: '0', GOFLAGS: '-mod=mod' };
  const built = await capture('go', ['install', '-ldflags=-s -w', `helm.sh/helm/v3/cmd/helm@${release}`], {
    cwd: cache,
    env,
  });
  if (built.code !== 0) throw new Error(`Go cannot build Helm:\n${built.output}`);
  return path.join(cache, 'helm');
}

// biome-ignore lint/suspicious/noExplicitAny: manifests of Kubernetes, whose types are not here.
type Manifest = any;

const logins = [
  'nats.loginSecret=logins',
  'nats.operatorSecret=operator',
  'nats.tls.secret=tls',
  'nats.tls.clientCertificate=true',
];

async function render(settings: readonly string[] = []): Promise<Manifest[]> {
  const set = ['nats.url=nats://nats:4222', ...settings].flatMap((setting) => ['--set', setting]);
  const { code, output } = await capture(helm, ['template', 'it', chart, '--kube-version', '1.31.0', ...set]);
  expect(code, output).toBe(0);
  return parseAllDocuments(output).flatMap((document) => {
    expect(document.errors).toEqual([]);
    return document.toJS() ?? [];
  });
}

function oneOf(manifests: readonly Manifest[], kind: string, name: string): Manifest {
  const found = manifests.filter((manifest) => manifest.kind === kind && manifest.metadata.name === name);
  expect(found).toHaveLength(1);
  return found[0];
}

function variablesOf(container: Manifest): Record<string, unknown> {
  return Object.fromEntries(container.env.map(({ name, value, valueFrom }: Manifest) => [name, value ?? valueFrom]));
}

describe('the Helm chart', () => {
  it('passes Helm’s linter in each form', async () => {
    for (const settings of [[], logins, ['placement=four', 'spares=2'], ['bootstrap=false', 'replicas=5']]) {
      const set = ['nats.url=nats://nats:4222', ...settings].flatMap((setting) => ['--set', setting]);
      const { code, output } = await capture(helm, ['lint', '--strict', chart, ...set]);
      expect(code, output).toBe(0);
    }
  });

  it('requires the address of NATS, and rejects values that are not valid', async () => {
    for (const wrong of [
      'replicas=3',
      'nats.url=x,placement=two',
      'nats.url=x,groups={a.b}',
      'nats.url=x,replicas=0',
    ]) {
      expect((await capture(helm, ['template', 'it', chart, '--set', wrong])).code).not.toBe(0);
    }
  });

  it('renders one peer per pod, with its own volume, disrupted one at a time', async () => {
    const manifests = await render(['spares=2']);
    const peers = oneOf(manifests, 'StatefulSet', 'it-conclave');
    expect(peers.spec.replicas).toBe(3);
    expect(oneOf(manifests, 'StatefulSet', 'it-conclave-spare').spec.replicas).toBe(2);
    expect(peers.spec.volumeClaimTemplates[0].spec.resources.requests.storage).toBe('10Gi');
    const budget = oneOf(manifests, 'PodDisruptionBudget', 'it-conclave');
    expect(budget.spec.maxUnavailable).toBe(1);
    for (const [label, value] of Object.entries(budget.spec.selector.matchLabels)) {
      expect(peers.spec.template.metadata.labels[label]).toBe(value);
    }
    const [container] = peers.spec.template.spec.containers;
    expect(variablesOf(container)).toMatchObject({
      CONCLAVE_PEER: { fieldRef: { fieldPath: 'metadata.name' } },
      CONCLAVE_GROUPS: 'main',
      NATS_URL: 'nats://nats:4222',
    });
    expect(oneOf(manifests, 'Service', peers.spec.serviceName).spec.clusterIP).toBe('None');
    const job = oneOf(manifests, 'Job', 'it-conclave-bootstrap');
    expect(job.spec.template.spec.containers[0].args.at(-1)).toBe('it-conclave-0,it-conclave-1,it-conclave-2');
  });

  it('runs without root on a read-only file system', async () => {
    const manifests = await render([...logins, 'placement=four']);
    const pods = manifests
      .filter(({ kind }) => ['StatefulSet', 'Job'].includes(kind))
      .map(({ spec }) => spec.template.spec);
    expect(pods).toHaveLength(2);
    for (const pod of pods) {
      expect(pod.securityContext).toMatchObject({ runAsNonRoot: true, runAsUser: 1000 });
      for (const { securityContext, volumeMounts } of pod.containers) {
        expect(securityContext).toMatchObject({ readOnlyRootFilesystem: true, allowPrivilegeEscalation: false });
        const volumes = [...pod.volumes.map(({ name }: Manifest) => name), 'data'];
        for (const { name } of volumeMounts) expect(volumes).toContain(name);
      }
    }
  });

  it('has probes, and transfers leadership before a peer stops', async () => {
    const [container] = oneOf(await render(['groups={main,orders}']), 'StatefulSet', 'it-conclave').spec.template.spec
      .containers;
    for (const probe of [container.startupProbe, container.readinessProbe])
      expect(probe.exec.command).toEqual(['conclave', 'health']);
    expect(container.livenessProbe).toBeDefined();
    const [shell, flag, script] = container.lifecycle.preStop.exec.command;
    expect([shell, flag]).toEqual(['sh', '-c']);
    // With a command that prints its words in the place of ours.
    const run = await capture('sh', ['-c', `conclave() { echo "$@"; false; }\n${script}`], {
      env: { CONCLAVE_PEER: 'it-conclave-0' },
    });
    expect(run).toEqual({
      code: 0,
      output: 'leader transfer --from it-conclave-0 --all-groups --timeout-ms 5000\n',
    });
  });

  it('uses logins and TLS from secrets: a container sees only those of its own peer', async () => {
    const pod = oneOf(await render([...logins, 'placement=four']), 'StatefulSet', 'it-conclave').spec.template.spec;
    expect(pod.containers.map(({ name }: Manifest) => name)).toEqual(['log-store', 'node', 'replicator', 'ballot-box']);
    for (const container of pod.containers) {
      expect(variablesOf(container)).toMatchObject({
        CONCLAVE_ACTORS: container.name,
        CONCLAVE_NATS_NKEY_FILE: '/credentials/login',
        CONCLAVE_NATS_TLS_CA: '/tls/ca.crt',
        CONCLAVE_NATS_TLS_CERT: '/tls/tls.crt',
        CONCLAVE_NATS_TLS_KEY: '/tls/tls.key',
      });
      const login = container.volumeMounts.find(({ name }: Manifest) => name === 'login');
      expect(login.subPathExpr).toBe('$(CONCLAVE_PEER).nk');
    }
    const named = pod.containers.filter(({ lifecycle }: Manifest) => lifecycle !== undefined);
    expect(named.map(({ name }: Manifest) => name)).toEqual(['node']);
    expect(named[0].lifecycle.preStop.exec.command[2]).toContain('CONCLAVE_NATS_NKEY_FILE=/operator/operator.nk');
    const data = pod.containers.filter(({ volumeMounts }: Manifest) =>
      volumeMounts.some(({ name }: Manifest) => name === 'data'),
    );
    expect(data.map(({ name }: Manifest) => name)).toEqual(['log-store']);
    expect(pod.volumes).toContainEqual({ name: 'login', secret: { secretName: 'logins', defaultMode: 0o440 } });
  });

  it('passes options of run to all peers in a configuration file', async () => {
    const manifests = await render(['config.election-timeout-ms=3000']);
    const file = JSON.parse(oneOf(manifests, 'ConfigMap', 'it-conclave').data['conclave.json']);
    expect(file).toEqual({ commands: { run: { 'election-timeout-ms': 3000 } } });
    const [container] = oneOf(manifests, 'StatefulSet', 'it-conclave').spec.template.spec.containers;
    expect(container.args).toEqual(['run', '--config', '/etc/conclave/conclave.json']);
  });
});
