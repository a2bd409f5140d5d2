/** Where a command writes: results on standard output, all else on standard error. */

import { styleText } from 'node:util';
import { ConclaveError } from '@conclave/protocol';
import { withoutSecrets } from './processes/hide-secrets.js';

/** A style that means something; none where the output is not a terminal. */
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
    this.out.write(`${printed(text, this.out)}\n`);
  }

  /** One line of JSON. */
  record(value: unknown): void {
    this.line(toJson(value));
  }

  /** For people, and not part of the result. */
  note(text: string): void {
    this.error.write(`${printed(text, this.error)}\n`);
  }

  style(style: Style, text: string): string {
    return this.coloured ? styleText(style, text, { validateStream: false }) : text;
  }

  /** Says why a command failed: with `--json` as the error's body, one line. */
  fail(error: unknown): void {
    if (this.json) this.error.write(`${toJson({ error: errorBody(error) })}\n`);
    else this.error.write(`conclave: ${printed(describeError(error), this.error)}\n`);
  }
}

/** A control character, and what makes it a style where it is the escape. */
const control = /\p{Cc}(?:\[\d+m)?/gu;

/** On a terminal, without what would command it: keys, values, names and errors may be another user's. Elsewhere as it is. */
function printed(text: string, stream: NodeJS.WriteStream): string {
  if (stream.isTTY !== true) return text;
  return text.replaceAll(control, (found) => {
    const isHarmless = found[0] === '\n' || found[0] === '\t' || (found[0] === '\u001b' && found.length > 1);
    return isHarmless ? found : `?${found.slice(1)}`;
  });
}

/** JSON with binary values as base64, as Conclave's own replies have them, or as `bytes` makes them. */
export function toJson(value: unknown, bytes: (raw: Uint8Array) => unknown = base64): string {
  return JSON.stringify(value, function (this: unknown, key, shown: unknown) {
    // A Buffer has a toJSON of its own, which has run by now: look at the holder's value.
    const raw = key === '' ? value : (this as Record<string, unknown>)[key];
    return raw instanceof Uint8Array ? bytes(raw) : shown;
  });
}

function base64(raw: Uint8Array): string {
  return Buffer.from(raw.buffer, raw.byteOffset, raw.length).toString('base64');
}

/** An error in one sentence, its code first. It may quote what was given: without secrets. */
export function describeError(error: unknown): string {
  if (!(error instanceof ConclaveError)) return withoutSecrets(error instanceof Error ? error.message : String(error));
  const hint = error.leaderId === undefined || error.leaderId === '' ? '' : `; the leader is ${error.leaderId}`;
  const outcome = error.outcome === 'unknown' ? ' (whether it was done is unknown)' : '';
  return `${error.code}: ${withoutSecrets(error.message)}${outcome}${hint}`;
}

function errorBody(error: unknown): unknown {
  if (error instanceof ConclaveError) return { ...error.toBody(), message: withoutSecrets(error.message) };
  return { code: 'EFAILED', message: describeError(error), outcome: 'unknown' };
}
