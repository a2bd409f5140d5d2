/** Reads a configuration file, YAML or JSON, and reports what is invalid in it and where. */
import { readFileSync, statSync } from 'node:fs';
import { issueText, systemErrorReason } from '@conclave/protocol';
import { mayBeContent } from '@conclave/protocol/login';
import { isNode, LineCounter, parseDocument } from 'yaml';
import type { z } from 'zod';
import { UsageError } from '../exit-codes.js';

const maxFileBytes = 1024 * 1024;

/**
 * Reads a file. YAML 1.2 contains JSON; a file whose name ends in `.json` must be JSON.
 * @throws UsageError with the file, line and column of everything that the schema does not allow
 */
export function readConfigurationFile<T>(file: string, schema: z.ZodType<T>): T {
  const text = readText(file);
  const lineCounter = new LineCounter();
  const document = parseDocument(text, { lineCounter, prettyErrors: false });
  const place = (offset: number | undefined): string => {
    const { line, col } = lineCounter.linePos(offset ?? 0);
    return `${file}:${line}:${col}`;
  };
  const [error] = document.errors;
  if (error !== undefined) throw new UsageError(`${place(error.pos[0])}: ${withoutQuote(error.message)}`);
  if (file.endsWith('.json')) checkJson(file, text);
  const parsed = schema.safeParse(document.toJS({ maxAliasCount: 100 }) ?? {});
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.flatMap(({ path, ...issue }) => {
    if (issue.code !== 'unrecognized_keys') return [{ path, text: `${shown(path)}${issueText({ path, ...issue })}` }];
    return issue.keys.map((key) => ({ path: [...path, key], text: `there is no setting ${[...path, key].join('.')}` }));
  });
  const placed = faults.map(({ path, text }) => {
    const node = path.length === 0 ? document.contents : keyOrValue(document, path);
    return { offset: isNode(node) ? node.range?.[0] : undefined, text };
  });
  const inOrder = placed.toSorted((one, other) => (one.offset ?? 0) - (other.offset ?? 0));
  const lines = inOrder.map(({ offset, text }) => `${place(offset)}: ${text}`);
  throw new UsageError(lines.join('\n'));
}

function shown(path: readonly PropertyKey[]): string {
  return path.length === 0 ? '' : `${path.join('.')}: `;
}

/** Returns the key at a path, otherwise its value. */
function keyOrValue(document: ReturnType<typeof parseDocument>, path: readonly PropertyKey[]): unknown {
  const parent: unknown = path.length === 1 ? document.contents : document.getIn(path.slice(0, -1), true);
  const items = (parent as { items?: { key?: { value?: unknown } }[] } | undefined)?.items ?? [];
  return items.find(({ key }) => key?.value === path.at(-1))?.key ?? document.getIn(path, true);
}

function readText(file: string): string {
  try {
    if (statSync(file).size > maxFileBytes) throw new Error(`it has more than ${maxFileBytes} bytes`);
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (mayBeContent(file)) {
      throw new UsageError('the setting of the configuration file has the content of a file; it must name the file');
    }
    throw new UsageError(`${file} cannot be read: ${systemErrorReason(error)}`);
  }
}

/** Some messages of the parser end with the text that it did not expect, which may be a secret: `<message>: "<text>"`. */
function withoutQuote(message: string): string {
  return message.replace(/: ".*"$/s, '');
}

function checkJson(file: string, text: string): void {
  try {
    JSON.parse(text);
  } catch {
    // The parser's own message would quote what it read, secrets too.
    throw new UsageError(`${file}: it is YAML and not JSON, in spite of its name`);
  }
}
