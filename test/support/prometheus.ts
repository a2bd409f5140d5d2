/** Debian's Prometheus: found on the PATH, or where `.ci/run` unpacks it. */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { exitOf, makeFolder, removeFolder, spawnGuarded } from './leftovers.js';
import { freePorts } from './nats.js';

const cache = fileURLToPath(new URL('../../.cache/prometheus/usr/bin/', import.meta.url));

/** Returns the command; undefined: it is not installed. */
export function findTool(name: 'prometheus' | 'promtool'): string | undefined {
  const found = [name, path.join(cache, name)].find((command) => spawnSync(command, ['--version']).status === 0);
  if (found === undefined)
    console.warn(`${name} is not installed, and its tests are skipped: apt-get install prometheus`);
  return found;
}

/** One series of an answer. */
export interface QueryResult {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: readonly [number, string];
}

export interface Prometheus {
  /** Evaluates an expression now. @throws Error if Prometheus rejects it */
  query(expression: string): Promise<QueryResult[]>;
  /** Returns the data of an answer of its API. */
  api<T>(place: string): Promise<T>;
  stop(): Promise<void>;
}

/** Starts a server that scrapes this page every second, with these alert rules. */
export async function startPrometheus(command: string, page: string, rulesFile: string): Promise<Prometheus> {
  const folder = makeFolder('prometheus');
  const { host, pathname } = new URL(page);
  const configuration = {
    global: { scrape_interval: '1s', evaluation_interval: '1s' },
    rule_files: [rulesFile],
    scrape_configs: [{ job_name: 'conclave', metrics_path: pathname, static_configs: [{ targets: [host] }] }],
  };
  // JSON is YAML, too.
  writeFileSync(path.join(folder, 'prometheus.yml'), JSON.stringify(configuration));
  const [port] = await freePorts(1);
  const args = [
    `--config.file=${path.join(folder, 'prometheus.yml')}`,
    `--storage.tsdb.path=${path.join(folder, 'data')}`,
    `--web.listen-address=127.0.0.1:${port}`,
    '--log.level=error',
  ];
  const child = spawnGuarded(command, args, { stdio: ['ignore', 'inherit', 'inherit'] });
  const api = async <T>(place: string): Promise<T> => {
    const response = await fetch(`http://127.0.0.1:${port}/api/v1/${place}`);
    const body = (await response.json()) as { status: string; error?: string; data: T };
    if (body.status !== 'success') throw new Error(`${place}: ${body.error}`);
    return body.data;
  };
  return {
    api,
    query: async (expression) =>
      (await api<{ result: QueryResult[] }>(`query?query=${encodeURIComponent(expression)}`)).result,
    stop: async () => {
      child.kill();
      await exitOf(child);
      removeFolder(folder);
    },
  };
}
