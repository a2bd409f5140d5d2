/** `conclave up`: runs peers on this machine until Ctrl-C, and a NATS server if none is named. */
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { ConclaveError, type EventName, PeerId } from '@conclave/protocol';
import { defaultNatsUrl } from '@conclave/protocol/login';
import { type Command, Option } from 'commander';
import { observeGroup } from '../events.js';
import { Interrupted } from '../exit-codes.js';
import { loginOf, namesServers, openLogin } from '../login.js';
import { makeFolder } from '../make-folder.js';
import { type CommonOptions, namedServersText, wholeNumber, withLoginOptions, withOutputOptions } from '../options.js';
import type { Output } from '../output.js';
import { type CleanUp, withCleanUp } from '../processes/clean-up.js';
import { lockDataDir } from '../processes/data-dir-lock.js';
import { foundGroup, type Mesh, makeMesh, ownNatsServer, peerNames, refuseSecondMesh } from '../processes/mesh.js';
import { type Placement, placements } from '../processes/peer-processes.js';
import { runAction } from '../run-action.js';
import { type Listen, startLiveView } from '../view/live-view.js';
import { eventLine } from '../views/event-line.js';
import { bootstrapText } from './bootstrap.js';
import { listenOption } from './view.js';

const usualPort = 4222;
const maxPeers = 9;
/** Events that are frequent, or that every peer publishes. */
const hiddenEvents: readonly EventName[] = ['catchup_progress', 'configuration_appended'];

interface UpOptions extends CommonOptions {
  readonly peers: number;
  readonly placement: Placement;
  readonly dataDir: string;
  readonly listen: Listen;
  readonly view: boolean;
}

export function registerUp(program: Command): void {
  const command = withOutputOptions(
    program
      .command('up')
      .addOption(new Option('--peers <n>', 'number of peers').argParser(wholeNumber(1, maxPeers)).default(3))
      .addOption(placementOption())
      .addOption(
        new Option('--data-dir <folder>', 'where the peers store their data, for the next start')
          .env('CONCLAVE_DATA_DIR')
          .default('.conclave'),
      )
      .addOption(listenOption())
      .option('--no-view', 'serve no page')
      .description('start peers on this machine and keep them running, until Ctrl-C'),
  );
  withLoginOptions(command, namedServersText).action((options: UpOptions) =>
    runAction(options, async (output) => {
      try {
        await withCleanUp((cleanUp) => up(cleanUp, output, options));
      } catch (error) {
        // Ctrl-C is the regular end of this command.
        if (!(error instanceof Interrupted)) throw error;
        if (!output.json) output.line('stopped');
        // Starts that were in progress at Ctrl-C must not continue.
        process.exit(0);
      }
    }),
  );
}

/** The option `--placement` of `up`, `demo` and `bench`. */
export function placementOption(): Option {
  return new Option('--placement <kind>', 'four: a process for each actor; one: a process for a peer')
    .choices(placements)
    .default('four' satisfies Placement);
}

async function up(cleanUp: CleanUp, output: Output, options: UpOptions): Promise<never> {
  const note = (text: string): void => output.note(text);
  const folder = path.resolve(options.dataDir);
  makeFolder(folder);
  const release = lockDataDir(folder);
  cleanUp.add(async () => release());
  const login = namesServers(options)
    ? loginOf(options)
    : openLogin(await ownNatsServer(cleanUp, path.join(folder, 'logs'), usualPort));
  if (!namesServers(options) && !output.json) {
    note(
      'its NATS server is open to all users of this machine, and to no other machine; docs/security.md explains how to close it',
    );
  }
  const mesh = await makeMesh(
    cleanUp,
    login,
    { groupId: options.group, prefix: options.prefix, placement: options.placement, folder },
    note,
  );
  const { natsUrl } = mesh;
  const founders = peerNames(options.peers);
  const peers = [...new Set([...founders, ...peersIn(path.join(folder, 'peers'))])].toSorted();
  await refuseSecondMesh(mesh.adminClient, peers);
  if (!output.json) note(`starting ${peers.join(', ')}`);
  await mesh.processes.start(peers);
  const group = await foundGroup(mesh, founders);
  const page = options.view ? await servePage(cleanUp, mesh, options.listen, note) : undefined;
  if (output.json) {
    const served = page === undefined ? {} : { view_url: page };
    const { processCount: processes } = mesh.processes;
    output.record({ ready: true, nats_url: natsUrl, ...served, data_dir: folder, processes, group });
  } else {
    output.line(bootstrapText(group));
    output.line(reachText(output, { natsUrl, page, folder }, options));
  }
  observeGroup(mesh.adminClient, (event) => {
    if (output.json) output.record({ event: event.name, ...event.body });
    else if (!hiddenEvents.includes(event.name)) output.line(eventLine(event));
  });
  return new Promise<never>(() => undefined);
}

/** Serves the page at its address or, if that is taken, at another port: the peers run in any case. Returns its address. */
async function servePage(
  cleanUp: CleanUp,
  { adminClient }: Mesh,
  listen: Listen,
  note: (text: string) => void,
): Promise<string> {
  const start = (port: number) =>
    startLiveView(adminClient, { listen: { ...listen, port }, allowAdmin: false, messagesForBrowsersOnly: true });
  const server = await start(listen.port).catch((error: unknown) => {
    if (!(error instanceof ConclaveError) || error.code !== 'EBUSY') throw error;
    note(`port ${listen.port} is taken: the page has another one`);
    return start(0);
  });
  cleanUp.add(() => server.close());
  return server.url;
}

/** Returns the peers that have data here: a spare peer that became a member must run again. */
function peersIn(folder: string): PeerId[] {
  try {
    return readdirSync(folder).flatMap((name) => {
      const parsed = PeerId.safeParse(name);
      return parsed.success ? [parsed.data] : [];
    });
  } catch {
    return [];
  }
}

interface Reach {
  readonly natsUrl: string;
  /** The address of the page; undefined: none is served. */
  readonly page: string | undefined;
  readonly folder: string;
}

function reachText(output: Output, { natsUrl, page, folder }: Reach, { group, prefix }: UpOptions): string {
  const settings = [
    ...(natsUrl === defaultNatsUrl ? [] : [`export NATS_URL=${natsUrl}`]),
    ...(group === 'main' ? [] : [`export CONCLAVE_GROUP=${group}`]),
    ...(prefix === 'conclave' ? [] : [`export CONCLAVE_PREFIX=${prefix}`]),
  ];
  return [
    '',
    ...(page === undefined ? [] : [`  page   ${output.style('bold', page)}`]),
    `  NATS   ${output.style('bold', natsUrl)}`,
    `  data   ${folder}`,
    '',
    'In another terminal (in the project: npx conclave ...):',
    '',
    ...settings.map((line) => `  ${line}`),
    '  conclave status',
    '  conclave kv put hello world',
    '  conclave kv get hello',
    '  conclave watch',
    `  nats request ${prefix}.${group}.kv.get '{"key":"hello"}'      any NATS client will do`,
    '',
    'Ctrl-C stops everything; the data is kept.',
    '',
  ].join('\n');
}
