/** `conclave exporter`: serves the metrics of a whole mesh to Prometheus, until it is stopped. */
import { Subjects } from '@conclave/protocol';
import { type NatsLogin, rejectionOf } from '@conclave/protocol/login';
import type { Command } from 'commander';
import type { NatsConnection } from 'nats';
import { connectTo } from '../connection.js';
import { type ListenAddress, listenOption } from '../listen-address.js';
import { type LoginFlags, loginOf } from '../login.js';
import { withGrouplessOptions } from '../options.js';
import type { Output } from '../output.js';
import { untilStopped } from '../processes/clean-up.js';
import { runAction } from '../run-action.js';

/** Less than Prometheus waits for a page by default. */
const defaultTimeoutMs = 2000;

interface ExporterOptions extends LoginFlags {
  readonly listen: ListenAddress;
  readonly prefix: string;
  readonly timeoutMs?: number;
  readonly json: boolean;
}

export function registerExporter(program: Command): void {
  withGrouplessOptions(
    program
      .command('exporter')
      .addOption(listenOption('--listen <address>', 'where to serve /metrics', '127.0.0.1:9464'))
      .description('serve the metrics of all peers and actors to Prometheus, until Ctrl-C'),
    'how long to wait for the reply of each actor (default: 2000)',
  ).action((options: ExporterOptions) => runAction(options, (output) => serve(output, options)));
}

async function serve(output: Output, options: ExporterOptions): Promise<void> {
  const { MeshScraper } = await import('../metrics/mesh-scraper.js');
  const { createPages } = await import('../metrics/pages.js');
  const { listen } = await import('../metrics/http-server.js');
  const login = loginOf(options);
  const connection = await connectTo(login, 'conclave exporter');
  try {
    const { timeoutMs = defaultTimeoutMs } = options;
    const scraper = new MeshScraper(connection, new Subjects(options.prefix), { timeoutMs });
    const nats = watchConnection(connection, login);
    const pages = createPages({
      metrics: () => scraper.scrape(),
      livez: () => [{ name: 'process', problem: '' }],
      readyz: () => [{ name: 'nats', problem: nats.problem }],
    });
    const listener = await listen(pages, options.listen);
    if (output.json) output.record({ url: `${listener.url}/metrics` });
    else output.line(`the metrics of all peers are on ${listener.url}/metrics`);
    const ended = connection.closed().then((error) => {
      if (error instanceof Error) throw error;
    });
    await Promise.race([untilStopped(), ended]);
    await listener.close();
  } finally {
    await connection.close();
  }
}

/** Follows whether the connection works. Each attempt whose login is rejected is a disconnection, too. */
function watchConnection(connection: NatsConnection, login: NatsLogin): { readonly problem: string } {
  const state = { problem: '' };
  const follow = async (): Promise<void> => {
    for await (const status of connection.status()) {
      if (status.type === 'disconnect' && state.problem === '') state.problem = 'not connected to NATS';
      if (status.type === 'error') state.problem = rejectionOf(status.error, login) ?? state.problem;
      if (status.type === 'reconnect') state.problem = '';
    }
  };
  void follow();
  return state;
}
