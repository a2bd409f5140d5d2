// Finds what documents and comments name in backticks (files, symbols, options, messages, decisions), and what of that exists.

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { root } from './source-file.js';

/** A document: each line with its number; lines of code blocks are separate. */
interface Lines {
  readonly prose: readonly (readonly [number, string])[];
  readonly code: readonly (readonly [number, string])[];
}

/** The folders of the project: what else is in a clone, such as data or logins, is the user's. */
const folders = ['.ci', 'deploy', 'docker', 'docs', 'examples', 'packages', 'scripts', 'test'];
const builtFolders = new Set(['node_modules', 'dist', 'bundle']);

function walk(folder: string): string[] {
  return readdirSync(path.join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const name = `${folder}/${entry.name}`;
    if (!entry.isDirectory()) return [name];
    return builtFolders.has(entry.name) ? [] : walk(name);
  });
}

const rootFiles = readdirSync(root, { withFileTypes: true })
  .filter((entry) => entry.isFile() && /^[\w-]+(\.[a-z]+)*\.(md|json|ts|yml)$|^Dockerfile$/.test(entry.name))
  .map(({ name }) => name);

/** All files of the project, relative to it. */
export const projectFiles: readonly string[] = [...rootFiles, ...folders.flatMap(walk)];

export function textOf(file: string): string {
  return readFileSync(path.join(root, file), 'utf8');
}

const token =
  /(?<string>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`)|(?<comment>\/\/[^\n]*|\/\*[\s\S]*?\*\/)/g;

/** A source text without its comments, and its comments alone; both keep their lines. */
export function divide(text: string): { code: string; comments: string } {
  const blank = (part: string) => part.replace(/[^\n]/g, ' ');
  const code = text.replace(token, (part, ...rest) => {
    const { comment } = rest.at(-1) as { comment?: string };
    return comment === undefined ? part : blank(part);
  });
  let comments = '';
  let from = 0;
  for (const { index, 0: part, groups } of text.matchAll(token)) {
    if (groups?.comment === undefined) continue;
    comments += blank(text.slice(from, index)) + part;
    from = index + part.length;
  }
  return { code, comments };
}

/** The texts in quotes of a source. */
export function stringsOf(text: string): string[] {
  return [...text.matchAll(token)].flatMap(({ groups }) =>
    groups?.string === undefined ? [] : [groups.string.slice(1, -1)],
  );
}

/** What of a file counts as code: scripts have their types in comments. */
function codeOf(file: string): string {
  const text = textOf(file);
  if (file.endsWith('.mjs')) return text.replace(/`[^`\n]*`/g, (span) => (/[${]/.test(span) ? span : ''));
  return /\.(ts|js)$/.test(file) ? divide(text).code : text;
}

const wordPattern = /[A-Za-z_$][\w$]*/g;

/** What exists: files, the words of all code, and the code itself. */
export class Inventory {
  readonly words = new Set<string>();
  private readonly basenames = new Set(projectFiles.map((file) => path.posix.basename(file)));
  private readonly kebab = new Set<string>();
  private readonly options = new Set<string>();
  /** Names of files that the code writes or reads somewhere. */
  private readonly namedFiles = new Set<string>();
  private readonly wordsOfFile = new Map<string, Set<string>>();

  /**
   * @param messages the full names of messages, operations, commands and events, such as `kv.put`
   * @param settings the options and variables of the command, which the code composes
   */
  constructor(
    private readonly messages: ReadonlySet<string>,
    settings: readonly string[],
  ) {
    for (const setting of settings) this.add(setting);
    for (const file of projectFiles) {
      if (!/\.(ts|mjs|js|json|ya?ml|sh|conf|tpl|service|txt)$|Dockerfile$|^\.ci\/run$/.test(file)) continue;
      if (/^test\/(mutants\/mutations\/|architecture\/mentions)|package-lock\.json$|^docs\//.test(file)) continue;
      this.add(codeOf(file));
    }
    for (const file of projectFiles) this.addPath(file);
  }

  private add(text: string): void {
    for (const [word] of text.matchAll(wordPattern)) this.words.add(word);
    for (const [word] of text.matchAll(/[a-z][a-z0-9]*(?:-[a-z0-9]+)+/g)) this.kebab.add(word);
    for (const [option] of text.matchAll(/--[a-z][a-z-]+/g)) this.options.add(option);
    for (const [name] of text.matchAll(/[\w-]+\.(?:json|txt|md)\b/g)) this.namedFiles.add(name);
  }

  private addPath(file: string): void {
    for (const part of file.split('/')) {
      this.kebab.add(part.split('.')[0] as string);
      for (const [word] of part.matchAll(wordPattern)) this.words.add(word);
    }
  }

  hasOption(option: string): boolean {
    return this.options.has(option) || this.options.has(option.replace(/^--no-/, '--'));
  }

  hasKebab(word: string): boolean {
    // A name with a number, such as a load of the bench, is composed.
    return this.kebab.has(word) || (/-\d+$/.test(word) && this.words.has(word.replace(/-\d+$/, '')));
  }

  hasMessage(name: string): boolean {
    return this.messages.has(name);
  }

  /** The project's files that a path in a document of `from` may mean: relative to the project, a package, or the document. */
  filesNamed(name: string, from: string): string[] {
    if (this.namedFiles.has(name) || existsSync(path.join(root, name))) return [name];
    if (!name.includes('/')) {
      return this.basenames.has(name) ? projectFiles.filter((file) => path.posix.basename(file) === name) : [];
    }
    const own = /^packages\/[^/]+/.exec(from)?.[0];
    const places = ['', path.posix.dirname(from), ...(own === undefined ? [] : [own, `${own}/src`, `${own}/src/core`])];
    const exact = places.map((place) => path.posix.normalize(path.posix.join(place, name)));
    const isTail = (file: string) => file.endsWith(`/${name}`) || file.includes(`/${name}/`);
    if (name.includes('*')) {
      const globs = exact.map((place) => new RegExp(`^${place.replace(/[.$]/g, '\\$&').replace(/\*/g, '[^/]*')}(/|$)`));
      return projectFiles.filter((file) => globs.some((glob) => glob.test(file)));
    }
    const found = exact.filter((file) => existsSync(path.join(root, file)));
    return found.length > 0 ? found : projectFiles.filter(isTail);
  }

  /** What a link of a document leads to. */
  linked(target: string, from: string): string[] {
    const name = path.posix.normalize(path.posix.join(path.posix.dirname(from), target));
    return existsSync(path.join(root, name)) ? [name] : [];
  }

  /** Whether a word is in the code of one of these files. */
  isIn(word: string, files: readonly string[]): boolean {
    return files.some((file) => {
      let words = this.wordsOfFile.get(file);
      if (words === undefined) {
        words = new Set([...codeOf(file).matchAll(wordPattern)].map(([found]) => found));
        this.wordsOfFile.set(file, words);
      }
      return words.has(word);
    });
  }
}

/** Divides Markdown into its prose and its code blocks, fenced or indented. */
export function linesOf(markdown: string): Lines {
  const prose: (readonly [number, string])[] = [];
  const code: (readonly [number, string])[] = [];
  let isFenced = false;
  let isBlank = true;
  markdown.split('\n').forEach((text, index) => {
    const line = [index + 1, text] as const;
    if (/^\s*```/.test(text)) isFenced = !isFenced;
    else if (isFenced || (/^ {4}/.test(text) && (isBlank || code.at(-1)?.[0] === index))) code.push(line);
    else prose.push(line);
    isBlank = text.trim() === '';
  });
  return { prose, code };
}

/** A text in backticks that names a file. */
const filePattern = /^[\w@.*/-]+\.(ts|mjs|js|md|txt|json|ya?ml|sh|service)$/;
const folderPattern = /^(packages|test|docs|scripts|deploy|docker|examples|src)\/[\w./*-]*$/;
const symbolPattern = /^[A-Za-z_$][\w$]*(?:\.[A-Za-z_$][\w$]*)*(?:\(\))?$/;

/** Whether a word can only be a name: camelCase, snake_case, PascalCase of two words, or an error code. */
function isName(word: string): boolean {
  return /[a-z][A-Z]/.test(word) || /[a-z0-9]_[a-z0-9]/i.test(word) || /^E[A-Z]{3,}$/.test(word);
}

/** Checks one text in backticks; returns what is wrong with it, or undefined. */
export function fault(
  span: string,
  from: string,
  inventory: Inventory,
  allowed: ReadonlySet<string>,
): string | undefined {
  if (allowed.has(span)) return undefined;
  if (filePattern.test(span) || folderPattern.test(span)) {
    return inventory.filesNamed(span.replace(/\/$/, ''), from).length > 0 ? undefined : 'no such file';
  }
  const unknownOption = [...span.matchAll(/(?<=^|[\s[(|])--[a-z][a-z-]+/g)]
    .map(([option]) => option)
    .find((option) => !inventory.hasOption(option) && !allowed.has(option));
  if (unknownOption !== undefined) return `no such option: ${unknownOption}`;
  if (/^(node|log-store|replicator|ballot-box|feed|kv|admin|event)\.[a-z_]+$/.test(span)) {
    return inventory.hasMessage(span) ? undefined : 'no such message';
  }
  if (/^[a-z][a-z0-9]*(-[a-z0-9]+)+$/.test(span)) return inventory.hasKebab(span) ? undefined : 'no such name';
  const words = [...span.replace(/<[^>]*>/g, ' ').matchAll(wordPattern)].map(([word]) => word);
  const missing = words.find(
    (word) => (isName(word) || symbolPattern.test(span)) && !inventory.words.has(word) && !allowed.has(word),
  );
  return missing === undefined ? undefined : `no such symbol: ${missing}`;
}

/** Checks symbols that a line places in a file: the file and then the symbol, or "symbol in file". */
export function misplaced(line: string, from: string, inventory: Inventory): string | undefined {
  const pairs = [
    ...[...line.matchAll(/`([^`]+\.(?:ts|mjs))`(?:,? | \()`([^`]+)`/g)].map(([, file = '', symbol = '']) => [
      file,
      symbol,
    ]),
    ...[...line.matchAll(/`([^`]+)` in `([^`]+\.(?:ts|mjs))`/g)].map(([, symbol = '', file = '']) => [file, symbol]),
  ] as [string, string][];
  for (const [file, symbol] of pairs) {
    if (!symbolPattern.test(symbol) || filePattern.test(symbol)) continue;
    const files = inventory.filesNamed(file, from);
    const missing = [...symbol.matchAll(wordPattern)]
      .map(([word]) => word)
      .find((word) => !inventory.isIn(word, files));
    if (files.length > 0 && missing !== undefined) return `${missing} is not in ${file}`;
  }
  return undefined;
}

/** The files that a comment names without backticks. */
export function filesIn(lines: readonly (readonly [number, string])[]): [number, string][] {
  return lines.flatMap(([number, text]) =>
    [...text.replace(/`[^`]*`/g, '').matchAll(/(?<![\w./<*-])[\w./-]*[\w-]\.(?:ts|mjs|md)\b/g)].map(
      ([file]): [number, string] => [number, file],
    ),
  );
}

/** All spans in backticks of some lines. */
export function spansOf(lines: readonly (readonly [number, string])[]): [number, string][] {
  return lines.flatMap(([number, text]) =>
    [...text.matchAll(/(?<!`)`([^`\n]+)`(?!`)/g)].map(([, span = '']): [number, string] => [number, span.trim()]),
  );
}
