/** `conclave watch`: prints the group's events, and with `--messages` the messages between its actors, until Ctrl-C. */
import { type Observation, observeMessages } from '@conclave/observer';
import { type EventName, events } from '@conclave/protocol';
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { AdminClient } from '../admin-client.js';
import { withAdminClient } from '../connection.js';
import { observeGroup } from '../events.js';
import { type CommonOptions, splitList, wholeNumber, withWatchOptions } from '../options.js';
import { type Output, toJson } from '../output.js';
import { untilStopped } from '../processes/clean-up.js';
import { runAction } from '../run-action.js';
import { eventLine } from '../views/event-line.js';
import { messageLine } from '../views/message-line.js';

interface WatchOptions extends Omit<CommonOptions, 'timeoutMs'> {
  readonly events?: readonly EventName[];
  readonly messages: boolean;
  readonly count?: number;
}

export function registerWatch(program: Command): void {
  withWatchOptions(
    program
      .command('watch')
      .addOption(new Option('--events <names>', 'only these events, separated by commas').argParser(parseEvents))
      .option('--messages', 'include the messages between the actors', false)
      .addOption(
        new Option('--count <n>', 'stop after this many lines').argParser(wholeNumber(1, Number.MAX_SAFE_INTEGER)),
      )
      .description('print the events of the group as they happen, until Ctrl-C'),
  ).action((options: WatchOptions) => runAction(options, (output) => watch(output, options)));
}

function watch(output: Output, options: WatchOptions): Promise<void> {
  return withAdminClient(options, async (adminClient) => {
    let left = options.count ?? Number.POSITIVE_INFINITY;
    let enough: () => void = () => undefined;
    const counted = new Promise<void>((resolve) => {
      enough = resolve;
    });
    const show = (line: string): void => {
      if (left <= 0) return;
      output.line(line);
      left -= 1;
      if (left === 0) enough();
    };
    const observing = observeGroup(adminClient, (event) => {
      if (options.events?.includes(event.name) === false) return;
      show(output.json ? JSON.stringify({ event: event.name, ...event.body }) : eventLine(event));
    });
    const messages = options.messages ? [watchMessages(adminClient, output, show)] : [];
    const observations = [observing, ...messages];
    // If NATS does not permit a subscription, the refusal arrives before the reply to this request.
    await Promise.all(observations.map(({ ready }) => ready));
    if (!output.json) output.note(`watching ${adminClient.subjects.events(adminClient.groupId)}`);
    await Promise.race([counted, untilStopped(), endOf(adminClient), ...observations.map(endOfOne)]);
    observing.close();
  });
}

/** Rejects when the connection is closed; never resolves. */
async function endOf(adminClient: AdminClient): Promise<void> {
  const error = await adminClient.connection.closed();
  if (error instanceof Error) throw error;
}

/** Rejects when NATS does not permit the subscription any more; never resolves. */
async function endOfOne(observation: Observation<unknown>): Promise<never> {
  for await (const _ of observation);
  return new Promise<never>(() => undefined);
}

function watchMessages(
  { connection, groupId, subjects }: AdminClient,
  output: Output,
  show: (line: string) => void,
): Observation<unknown> {
  return observeMessages({
    connection,
    groupId,
    prefix: subjects.prefix,
    onMessage: ({ peerId, message: { name, body } }) =>
      show(output.json ? toJson({ message: name, to: peerId, body }, sizeOf) : messageLine(peerId, name, body)),
  });
}

/** Batches are large and binary, and there are many of them: only their size is printed. */
function sizeOf(raw: Uint8Array): { bytes: number } {
  return { bytes: raw.length };
}

function parseEvents(text: string): EventName[] {
  return splitList(text).map((name) => {
    if (!Object.hasOwn(events, name)) {
      throw new InvalidArgumentError(`there is no event ${name}; there are ${Object.keys(events).join(', ')}.`);
    }
    return name as EventName;
  });
}
