/** The output of a command: results on standard output, everything else on standard error. */

import { styleText } from 'node:util';
import { ConclaveError, systemErrorText } from '@conclave/protocol';
import { Interrupted } from './exit-codes.js';
import { withoutSecrets } from './processes/hide-secrets.js';
import { print } from './terminal-text.js';

/** A style with a meaning; no style if the output is not a terminal. */
export type Style = 'bold' | 'dim' | 'green' | 'red' | 'yellow' | 'cyan';

export class Output {
  readonly isTerminal: boolean;
  private readonly coloured: boolean;

  constructor(
    readonly json: boolean,
    readonly out: NodeJS.WriteStream = process.stdout,
    private readonly error: NodeJS.WriteStream = process.stderr,
  ) {
    this.isTerminal = out.isTTY === true;
    this.coloured = this.isTerminal && process.env.NO_COLOR === undefined;
  }

  line(text = ''): void {
    print(this.out, `${text}\n`);
  }

  /** One line of JSON. */
  record(value: unknown): void {
    this.line(toJson(value));
  }

  /** Prints text for people that is not part of the result. */
  note(text: string): void {
    print(this.error, `${text}\n`);
  }

  style(style: Style, text: string): string {
    return this.coloured ? styleText(style, text, { validateStream: false }) : text;
  }

  /** Prints why a command failed: with `--json` the body of the error, in one line. */
  fail(error: unknown): void {
    if (this.json) this.error.write(`${toJson({ error: errorBody(error) })}\n`);
    else print(this.error, `conclave: ${describeError(error)}\n`);
  }
}

/** JSON with binary values as base64, as in Conclave's own replies, or as `bytes` converts them. */
export function toJson(value: unknown, bytes: (raw: Uint8Array) => unknown = base64): string {
  return JSON.stringify(value, function (this: unknown, key, shown: unknown) {
    // `toJSON` of a Buffer has run already: the original value is in its holder.
    const raw = key === '' ? value : (this as Record<string, unknown>)[key];
    return raw instanceof Uint8Array ? bytes(raw) : shown;
  });
}

function base64(raw: Uint8Array): string {
  return Buffer.from(raw.buffer, raw.byteOffset, raw.length).toString('base64');
}

/** An error in one sentence that begins with its code. It may quote arguments, so secrets are removed. */
export function describeError(error: unknown): string {
  if (!(error instanceof ConclaveError)) return withoutSecrets(messageOf(error));
  const hint = error.leaderId === undefined || error.leaderId === '' ? '' : `; the leader is ${error.leaderId}`;
  const outcome = error.outcome === 'unknown' ? ' (whether it was done is unknown)' : '';
  return `${error.code}: ${withoutSecrets(error.message)}${outcome}${hint}`;
}

/** Returns the message of an error that is none of Conclave's. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // The message of Node.js names no folder.
  const isFolderGone = (error as NodeJS.ErrnoException).syscall === 'uv_cwd';
  return isFolderGone ? 'the current folder was deleted: change to another one' : systemErrorText(error);
}

function errorBody(error: unknown): unknown {
  if (error instanceof ConclaveError) return { ...error.toBody(), message: withoutSecrets(error.message) };
  const outcome = error instanceof Interrupted && !error.isUnknown ? 'not_done' : 'unknown';
  return { code: 'EFAILED', message: describeError(error), outcome };
}
