/** `conclave view`: serves the page of a live group, of a recording, or of a simulated group, until Ctrl-C. */
import { ConclaveError } from '@conclave/protocol';
import type { ViewServer } from '@conclave/view';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { withAdminClient } from '../connection.js';
import { UsageError } from '../exit-codes.js';
import { type CommonOptions, wholeNumber, withWatchOptions } from '../options.js';
import type { Output } from '../output.js';
import { untilStopped } from '../processes/clean-up.js';
import { runAction } from '../run-action.js';
import { defaultListen, isLoopback, type Listen, namesOf, startLiveView } from '../view/live-view.js';

interface ViewOptions extends Omit<CommonOptions, 'timeoutMs'> {
  readonly listen: Listen;
  readonly replay?: string;
  readonly simulate?: boolean;
  readonly question?: string;
  readonly seed?: number;
  readonly allowAdmin: boolean;
  readonly messageRate?: number;
}

export function registerView(program: Command): void {
  withWatchOptions(
    program
      .command('view')
      .addOption(listenOption())
      .option('--replay <file>', 'show this recording instead of a live group')
      .option('--simulate', 'show a simulated group instead, with faults and prepared questions')
      .option(
        '--question <name>',
        'with --simulate: open this prepared question about membership changes; an unknown name prints all',
      )
      .addOption(
        new Option('--seed <n>', 'with --simulate: the seed of all randomness in the run (default: 1)').argParser(
          wholeNumber(0, 2 ** 31),
        ),
      )
      .option('--allow-admin', 'let the page send admin commands, each after a confirmation', false)
      .addOption(
        new Option(
          '--message-rate <n>',
          'messages per second that the page shows; if there are more, a sample of them (default: 300)',
        ).argParser(wholeNumber(1, 100_000)),
      )
      .description('serve a page that shows the group live, until Ctrl-C'),
  ).action((options: ViewOptions) =>
    runAction(options, (output) => {
      if (options.allowAdmin && !isLoopback(options.listen.host)) {
        throw new UsageError(
          '--allow-admin is for an address of this machine: everybody who reaches the page could use it',
        );
      }
      const { replay, simulate = false } = options;
      if (!simulate && (options.question !== undefined || options.seed !== undefined))
        throw new UsageError('--question and --seed are for a simulated group: add --simulate');
      if (replay === undefined && !simulate) return viewLive(output, options);
      if (options.allowAdmin)
        throw new UsageError(
          `a ${simulate ? 'simulation' : 'recording'} has no admin commands: --allow-admin is for a live group`,
        );
      if (replay === undefined) return viewSimulation(output, options);
      if (simulate) throw new UsageError('--simulate and --replay show different groups');
      return viewRecording(output, replay, options);
    }),
  );
}

/** The option `--listen` of `view` and `up`. */
export function listenOption(): Option {
  return new Option('--listen <host:port>', 'where the page is served')
    .argParser(parseListen)
    .default(defaultListen, `"${defaultListen.host}:${defaultListen.port}"`);
}

function viewLive(output: Output, options: ViewOptions): Promise<void> {
  if (!isLoopback(options.listen.host)) {
    output.note('everybody with access to this address sees what the login of this command may see');
  }
  return withAdminClient(options, async (adminClient) => {
    await serve(output, await startLiveView(adminClient, options), adminClient.connection.closed());
  });
}

async function viewRecording(output: Output, file: string, { listen }: ViewOptions): Promise<void> {
  const { ReplaySource, readRecording, ViewServer } = await import('@conclave/view');
  const recording = await readRecording(file);
  if (recording.truncated) output.note(`${file} ends in the middle: what is before that is shown`);
  await serve(
    output,
    await ViewServer.start({ source: new ReplaySource(recording), ...listen, hosts: namesOf(listen) }),
    undefined,
  );
}

async function viewSimulation(output: Output, { listen, question, seed }: ViewOptions): Promise<void> {
  const { Playground } = await import('@conclave/simulator/playground');
  const { ViewServer } = await import('@conclave/view');
  const source = new Playground({ question, seed });
  await serve(output, await ViewServer.start({ source, ...listen, hosts: namesOf(listen) }), undefined);
}

/** @param lost resolves when the connection to NATS has ended for good */
async function serve(output: Output, server: ViewServer, lost: Promise<unknown> | undefined): Promise<void> {
  if (output.json) output.record({ ready: true, url: server.url });
  else output.line(`the page is at ${output.style('bold', server.url)}\nCtrl-C stops it`);
  const ended = lost?.then((error) => {
    throw error instanceof Error ? error : new ConclaveError('EUNREACHABLE', 'the connection to NATS has ended');
  });
  try {
    await Promise.race([untilStopped(), ...(ended === undefined ? [] : [ended])]);
  } finally {
    ended?.catch(() => undefined);
    await server.close();
  }
}

/** `127.0.0.1:8250`, `[::1]:8250`, or a port alone. */
export function parseListen(text: string): Listen {
  const match = /^(?:(?:\[([^\]]+)\]|([^:]+)):)?(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) {
    throw new InvalidArgumentError(
      `an address and a port are wanted, such as ${defaultListen.host}:${defaultListen.port}.`,
    );
  }
  return { host: match[1] ?? match[2] ?? defaultListen.host, port };
}
