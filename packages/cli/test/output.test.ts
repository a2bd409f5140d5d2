import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { ConclaveError } from '@conclave/protocol';
import { describe, expect, it } from 'vitest';
import { describeError, Output, toJson } from '../src/output.js';
import { loggedErrorsOf } from '../src/processes/log-file.js';
import { print } from '../src/terminal-text.js';

const sources = path.resolve(import.meta.dirname, '../src');

function sourceFiles(): string[] {
  return readdirSync(sources, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => path.join(sources, name));
}

describe('errors', () => {
  it('are printed with their code, their outcome if it is unknown, and the hint', () => {
    expect(describeError(new ConclaveError('EBUSY', 'a change is in progress'))).toBe('EBUSY: a change is in progress');
    expect(describeError(new ConclaveError('EPERM', 'not the leader', 'unknown', 'n2'))).toBe(
      'EPERM: not the leader (whether it was done is unknown); the leader is n2',
    );
    expect(describeError(new Error('boom'))).toBe('boom');
    expect(describeError('boom')).toBe('boom');
  });
});

describe('what a command prints', () => {
  /** A terminal, or a file, that keeps what is written to it. */
  const written = (isTTY: boolean, print: (output: Output) => void): string => {
    const texts: string[] = [];
    const stream = { isTTY, write: (text: string) => texts.push(text) } as unknown as NodeJS.WriteStream;
    print(new Output(false, stream, stream));
    return texts.join('');
  };
  const hostile = 'a\u001b[2J\u001b]0;title\u0007b\u009bc\rd\u001b[1me\tf\ng';

  it('contains no commands for a terminal, whatever the keys, names and errors in it contain', () => {
    const harmless = 'a?[2J?]0;title?b?c?d\u001b[1me\tf\ng';
    expect(written(true, (output) => output.line(hostile))).toBe(`${harmless}\n`);
    expect(written(true, (output) => output.note(hostile))).toBe(`${harmless}\n`);
    expect(written(true, (output) => output.fail(new Error(hostile)))).toBe(`conclave: ${harmless}\n`);
  });

  it('contains none either where a problem is printed without an output', () => {
    const texts: string[] = [];
    print({ isTTY: true, write: (text: string) => texts.push(text) } as unknown as NodeJS.WriteStream, hostile);
    expect(texts).toEqual(['a?[2J?]0;title?b?c?d\u001b[1me\tf\ng']);
  });

  it('is written to standard error and standard output in one place, which removes them', () => {
    const writers = sourceFiles().filter((file) => /std(err|out)\.write\(/.test(readFileSync(file, 'utf8')));
    // Help, JSON, and a word for another process, which contain no text of others.
    const allowed = ['commands/help-commands.ts', 'health-check.ts', 'lock/watchdog.ts'];
    expect(writers.map((file) => path.relative(sources, file)).toSorted()).toEqual(allowed);
  });

  it('is left as it is where it goes to a file or another program', () => {
    expect(written(false, (output) => output.line(hostile))).toBe(`${hostile}\n`);
  });
});

it('The error of a deleted current folder says what to do.', () => {
  const error = Object.assign(new Error('ENOENT: no such file or directory, uv_cwd'), { syscall: 'uv_cwd' });
  expect(describeError(error)).toBe('the current folder was deleted: change to another one');
});

describe('JSON', () => {
  it('has binary values as base64, Buffers too', () => {
    expect(toJson({ value: Buffer.from('hi'), list: [new Uint8Array([1])] })).toBe('{"value":"aGk=","list":["AQ=="]}');
    expect(toJson(new Uint8Array([1]))).toBe('"AQ=="');
  });
});

describe('logs', () => {
  it('are searched for the last errors', () => {
    const log = [
      '{"level":30,"msg":"ready"}',
      '{"level":40,"msg":"disconnected"}',
      '{"level":60,"msg":"the core failed","reason":"an invariant"}',
      '',
      'Error: Cannot find module',
    ].join('\n');
    expect(loggedErrorsOf(log)).toEqual(['disconnected', 'the core failed: an invariant', 'Error: Cannot find module']);
    expect(loggedErrorsOf(`${log}\n{"level":50,"msg":"more"}`)).toHaveLength(3);
    expect(loggedErrorsOf('')).toEqual([]);
  });

  it('have a crash of Node.js as the line of its error', () => {
    const crash = [
      'node:internal/modules/esm/resolve:283',
      '    throw new ERR_MODULE_NOT_FOUND(',
      '          ^',
      '',
      "Error [ERR_MODULE_NOT_FOUND]: Cannot find module '/a.js'",
      '    at finalizeResolution (node:internal/modules/esm/resolve:283:11) {',
      "  code: 'ERR_MODULE_NOT_FOUND'",
      '}',
      '',
      'Node.js v20.20.2',
    ].join('\n');
    expect(loggedErrorsOf(crash)).toEqual(["Error [ERR_MODULE_NOT_FOUND]: Cannot find module '/a.js'"]);
  });
});
