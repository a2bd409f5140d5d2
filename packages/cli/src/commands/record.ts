/** `conclave record`: records the events, messages and states of a group into a file, until Ctrl-C. */
import { realpath, stat } from 'node:fs/promises';
import { ConclaveError, limits } from '@conclave/protocol';
import { type Command, Option } from 'commander';
import { withAdminClient } from '../connection.js';
import { type CommonOptions, parseFile, wholeNumber, withWatchOptions } from '../options.js';
import type { Output } from '../output.js';
import { ownVersion } from '../own-files.js';
import { untilStopped } from '../processes/clean-up.js';
import { lockFile } from '../processes/data-dir-lock.js';
import { runAction } from '../run-action.js';
import { liveSource } from '../view/live-view.js';
import { bytesText, count } from '../views/format.js';

interface RecordOptions extends Omit<CommonOptions, 'timeoutMs'> {
  readonly maxMb: number;
  readonly messageRate: number;
}

const mebibyte = 1024 * 1024;
/** A recording may be read in more detail than a page is watched. */
const defaultRate = 2000;
const flushMs = 1000;

export function registerRecord(program: Command): void {
  withWatchOptions(
    program
      .command('record')
      .argument('<file>', 'the recording, which is replaced if it exists', parseFile)
      .addOption(
        new Option('--max-mb <n>', 'end when the file has this many MiB')
          .argParser(wholeNumber(1, limits.recordingBytes / mebibyte))
          .default(limits.recordingBytes / mebibyte),
      )
      .addOption(
        new Option('--message-rate <n>', 'messages per second that are recorded; if there are more, a sample of them')
          .argParser(wholeNumber(1, 100_000))
          .default(defaultRate),
      )
      .description('record what happens in the group to a file, until Ctrl-C; `view --replay` plays it'),
  ).action((file: string, options: RecordOptions) => runAction(options, (output) => record(output, file, options)));
}

/**
 * Allows one `record` per file: a second one would truncate the recording of the first.
 * @returns releases the file; the process does so when it exits, too
 * @throws ConclaveError EBUSY if another process records to it
 */
async function lockRecording(file: string): Promise<() => void> {
  const found = await stat(file).catch(() => undefined);
  // A device or a pipe keeps nothing that could be lost.
  if (found !== undefined && !found.isFile()) return () => undefined;
  const whole = found === undefined ? file : await realpath(file);
  try {
    return lockFile(
      `${whole}.lock`,
      (holder) => `process ${holder} records to ${file} already: stop it, or name another file`,
    );
  } catch (error) {
    if (error instanceof ConclaveError) throw error;
    // No file can be created beside it. Whether the file itself can be written is known when it is opened.
    return () => undefined;
  }
}

function record(output: Output, file: string, options: RecordOptions): Promise<void> {
  return withAdminClient(options, async (adminClient) => {
    const { RecordWriter } = await import('@conclave/view');
    const source = await liveSource(adminClient, options);
    const header = { title: source.info.title, group: options.group, time: 'wall', version: ownVersion() } as const;
    const release = await lockRecording(file);
    const writer = await RecordWriter.create({ file, header, maxBytes: options.maxMb * mebibyte });
    let stop: (error?: unknown) => void = () => undefined;
    const ended = new Promise<void>((resolve, reject) => {
      stop = (error) => (error === undefined ? resolve() : reject(error));
    });
    source.subscribe({
      onRecords: (records) => {
        try {
          if (!writer.write(records)) stop();
        } catch (error) {
          stop(error);
        }
      },
      onRestarted: () => undefined,
      onControls: () => undefined,
    });
    // What is older than this can be read even if this process is killed.
    const flushing = setInterval(() => writer.flush(), flushMs);
    if (!output.json) output.note(`recording group ${options.group} into ${file}; Ctrl-C ends it`);
    await Promise.race([ended, untilStopped()]);
    await source.close();
    clearInterval(flushing);
    const { isFull, records } = writer;
    const bytes = await writer.close();
    release();
    if (output.json) output.record({ file, records, bytes, full: isFull });
    else
      output.line(`${file}: ${count(records)} records, ${bytesText(bytes)}${isFull ? ', as many as it may have' : ''}`);
  });
}
