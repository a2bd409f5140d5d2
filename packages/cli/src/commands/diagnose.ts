/** `conclave log-level` and `conclave profile`: look into running processes of a peer. */
import { writeFile } from 'node:fs/promises';
import { type ActorKind, actorKinds, LogLevelName, limits, type PeerId, ProfileKind } from '@conclave/protocol';
import { Argument, type Command, Option } from 'commander';
import type { AdminClient } from '../admin-client.js';
import { withAdminClient } from '../connection.js';
import { exitCodeOfAll, Failed } from '../exit-codes.js';
import { type CommonOptions, defaultGroup, parsePeer, wholeNumber, withGrouplessOptions } from '../options.js';
import { describeError, type Output } from '../output.js';
import { runAction } from '../run-action.js';
import { bytesText } from '../views/format.js';
import { checkWritable } from '../writable-file.js';

interface DiagnoseOptions extends Omit<CommonOptions, 'group'> {
  readonly peer: PeerId;
}

interface LogLevelOptions extends DiagnoseOptions {
  readonly actor?: ActorKind;
}

interface ProfileOptions extends DiagnoseOptions {
  readonly actor: ActorKind;
  readonly seconds: number;
  readonly out?: string;
}

const defaultTimeoutMs = 10_000;
const defaultSeconds = 10;

export function registerDiagnose(program: Command): void {
  withGrouplessOptions(
    program
      .command('log-level')
      .addArgument(new Argument('[level]', 'the lowest level to log').choices(LogLevelName.options))
      .addOption(peerOption())
      .addOption(
        new Option('--actor <kind>', 'only the process of this actor (default: all processes of the peer)').choices(
          actorKinds,
        ),
      )
      .description('print or set the log level of the running processes of a peer; a restart resets it'),
  ).action((level: LogLevelName | undefined, options: LogLevelOptions) =>
    diagnose(options, (adminClient, output) => setLevel(adminClient, level, options, output)),
  );
  withGrouplessOptions(
    program
      .command('profile')
      .addArgument(new Argument('<kind>', 'processor time, or allocated memory').choices(ProfileKind.options))
      .addOption(peerOption())
      .addOption(new Option('--actor <kind>', 'which process: that of this actor').choices(actorKinds).default('node'))
      .addOption(
        new Option('--seconds <n>', 'for how long')
          .argParser(wholeNumber(1, limits.profileSeconds))
          .default(defaultSeconds),
      )
      .addOption(new Option('--out <file>', 'where to write it (default: <peer>-<actor>.cpuprofile or .heapprofile)'))
      .description('take a profile of a running process, for the developer tools of a browser'),
  ).action((kind: ProfileKind, options: ProfileOptions) =>
    diagnose(options, (adminClient, output) => takeProfile(adminClient, kind, options, output)),
  );
}

function peerOption(): Option {
  return new Option('--peer <name>', 'the peer').env('CONCLAVE_PEER').argParser(parsePeer).makeOptionMandatory();
}

function diagnose(
  options: DiagnoseOptions,
  work: (adminClient: AdminClient, output: Output) => Promise<void>,
): Promise<void> {
  return runAction(options, (output) =>
    withAdminClient({ ...options, group: defaultGroup }, (adminClient) => work(adminClient, output)),
  );
}

async function setLevel(
  adminClient: AdminClient,
  level: LogLevelName | undefined,
  { peer, actor, timeoutMs = defaultTimeoutMs }: LogLevelOptions,
  output: Output,
): Promise<void> {
  const kinds = actor === undefined ? actorKinds : [actor];
  const request = level === undefined ? {} : { level };
  const failures: unknown[] = [];
  const askOne = async (kind: ActorKind) => {
    try {
      const { level: now } = await adminClient.process('log_level', request, { peerId: peer, actor: kind, timeoutMs });
      return [{ actor: kind, level: now }];
    } catch (error) {
      failures.push(error);
      output.note(`conclave: the ${kind} of ${peer}: ${describeError(error)}`);
      return [];
    }
  };
  const actors = (await Promise.all(kinds.map(askOne))).flat();
  if (output.json) output.record({ peer_id: peer, actors });
  else for (const { actor: kind, level: now } of actors) output.line(`the ${kind} of ${peer} logs ${now} and above`);
  if (failures.length > 0) throw new Failed(exitCodeOfAll(failures));
}

async function takeProfile(
  adminClient: AdminClient,
  kind: ProfileKind,
  { peer, actor, seconds, out = `${peer}-${actor}.${kind}profile`, timeoutMs = defaultTimeoutMs }: ProfileOptions,
  output: Output,
): Promise<void> {
  const where = { peerId: peer, actor, timeoutMs };
  await checkWritable(out);
  if (!output.json) output.note(`profiling the ${actor} of ${peer} for ${seconds} s`);
  const taken = await adminClient.process(
    'profile',
    { kind, seconds },
    { ...where, timeoutMs: timeoutMs + seconds * 1000 },
  );
  const chunks: Uint8Array[] = [];
  for (let number = 0; number < taken.chunks; number++) {
    const { chunk } = await adminClient.process('profile_chunk', { profile_id: taken.profile_id, number }, where);
    chunks.push(chunk);
  }
  await writeFile(out, Buffer.concat(chunks));
  if (output.json) return output.record({ peer_id: peer, actor, kind, file: out, bytes: taken.bytes });
  output.line(
    `${out}: ${bytesText(taken.bytes)}; open it in the developer tools of a browser (Performance, or Memory)`,
  );
}
