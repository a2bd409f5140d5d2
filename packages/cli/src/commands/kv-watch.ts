/** `conclave kv watch`: prints the changes of the keys with a prefix, one line each, until Ctrl-C. */
import type { WatchEvent } from '@conclave/client';
import type { ConclaveError } from '@conclave/protocol';
import { type Command, Option } from 'commander';
import { withClient } from '../connection.js';
import { type CommonOptions, wholeNumber, withWatchOptions } from '../options.js';
import { describeError, type Output } from '../output.js';
import { untilStopped } from '../processes/clean-up.js';
import { runAction } from '../run-action.js';

interface WatchOptions extends Omit<CommonOptions, 'timeoutMs'> {
  readonly from?: number;
  readonly state: boolean;
  readonly count?: number;
}

export function registerKvWatch(kv: Command): void {
  const number = wholeNumber(1, Number.MAX_SAFE_INTEGER);
  withWatchOptions(
    kv
      .command('watch')
      .argument('[prefix]', 'what the keys begin with; all keys unless given', '')
      .addOption(new Option('--from <revision>', 'include the changes from this revision on').argParser(number))
      .option('--state', 'first print the current state; also if earlier changes are no longer known', false)
      .addOption(new Option('--count <n>', 'stop after this many lines').argParser(number))
      .description('print changes of keys: revision, put or delete, key, value; until Ctrl-C'),
  ).action((prefix: string, options: WatchOptions) => runAction(options, (output) => watch(output, prefix, options)));
}

function watch(output: Output, prefix: string, options: WatchOptions): Promise<void> {
  const { from, state, count = Number.POSITIVE_INFINITY } = options;
  return withClient(options, async (client) => {
    const onProblem = (problem: ConclaveError): void => {
      // The connection reports a rejected login itself.
      if (problem.code !== 'ELOGIN') output.note(`conclave: ${describeError(problem)}; still watching`);
    };
    const changes = client.watch(prefix, { state, onProblem, ...(from === undefined ? {} : { fromRevision: from }) });
    void untilStopped().then(() => changes.return?.());
    let left = count;
    for await (const event of changes) {
      show(output, event);
      left -= 1;
      if (left <= 0) return;
    }
  });
}

function show(output: Output, event: WatchEvent): void {
  const shown = 'value' in event ? { ...event, value: textOf(event.value) } : event;
  if (output.json) output.record(shown);
  else
    output.line([event.revision, event.type, ...('key' in shown ? [shown.key] : []), ...shownValue(shown)].join('\t'));
}

function shownValue(shown: object): unknown[] {
  return 'value' in shown ? [shown.value] : [];
}

/** Binary values as base64. */
function textOf(value: string | Uint8Array): string {
  return typeof value === 'string' ? value : Buffer.from(value).toString('base64');
}
