// Reads the project's packages and parses TypeScript, for the tests of the architecture.

import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseAst } from 'vitest/node';

/** The project's folder. */
export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');

/** A source text; `path` is relative to the project, with slashes. */
export interface SourceFile {
  path: string;
  text: string;
}

/** A node of the syntax tree (ESTree with TypeScript's additions). */
export interface SyntaxNode {
  type: string;
  start: number;
  [field: string]: unknown;
}

/** One place in a file that names another module; `specifier` is undefined where it is computed. */
export interface ModuleReference {
  specifier: string | undefined;
  line: number;
  /** Whether it is loaded only when that line is run, or is a type. */
  isDynamic: boolean;
}

/** The names of the packages, as their folders are called. */
export function packageNames(): string[] {
  return readdirSync(path.join(root, 'packages'), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .sort();
}

/** Every TypeScript file below a folder of the project; none where the folder is absent. */
export function sourceFiles(folder: string): SourceFile[] {
  const absolute = path.join(root, folder);
  const files: SourceFile[] = [];
  for (const name of listFiles(absolute)) {
    if (!/\.[cm]?tsx?$/.test(name)) continue;
    const text = readFileSync(path.join(absolute, name), 'utf8');
    files.push({ path: `${folder}/${name}`, text });
  }
  return files;
}

function listFiles(absolute: string): string[] {
  try {
    return readdirSync(absolute, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => path.relative(absolute, path.join(entry.parentPath, entry.name)))
      .map((name) => name.split(path.sep).join('/'))
      .sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

/** Parses a file; throws on a syntax error. */
export function parse(file: SourceFile): SyntaxNode {
  try {
    return parseAst(file.text, { lang: 'ts' }, file.path) as unknown as SyntaxNode;
  } catch (error) {
    throw new Error(`${file.path}: ${error instanceof Error ? error.message : error}`);
  }
}

/** Calls `visit` with each node below (and with) `node`, parents first. */
export function walk(
  node: SyntaxNode,
  visit: (node: SyntaxNode, parent: SyntaxNode | undefined, field: string) => void,
  parent?: SyntaxNode,
  parentField = '',
): void {
  visit(node, parent, parentField);
  for (const [field, value] of Object.entries(node)) {
    for (const child of Array.isArray(value) ? value : [value]) {
      if (isNode(child)) walk(child, visit, node, field);
    }
  }
}

/** Whether a value found in a tree is one of its nodes. */
export function isNode(value: unknown): value is SyntaxNode {
  return typeof value === 'object' && value !== null && 'type' in value && 'start' in value;
}

/** The line, counted from 1, of an offset into a text. */
export function lineAt(text: string, offset: number): number {
  return text.slice(0, offset).split('\n').length;
}

const REFERRING = new Set([
  'ImportDeclaration',
  'ExportNamedDeclaration',
  'ExportAllDeclaration',
  'ImportExpression',
  'TSImportType',
  'TSExternalModuleReference',
]);

/** What a text has where it names a module other than by a statement at the top; it may stand in a comment as well. */
const nestedReference = /\bimport\s*\(|\brequire\b|\b(?:namespace|module)\s/;

/** Every module that a file names: imports, re-exports, dynamic imports and types alike. */
export function moduleReferences(file: SourceFile): ModuleReference[] {
  const references: ModuleReference[] = [];
  const tree = parse(file);
  const visit = (node: SyntaxNode): void => {
    if (!REFERRING.has(node.type)) return;
    const source = node.source ?? node.expression;
    if (!isNode(source)) return;
    const value = source.value;
    references.push({
      specifier: source.type === 'Literal' && typeof value === 'string' ? value : undefined,
      line: lineAt(file.text, node.start),
      isDynamic: node.type === 'ImportExpression' || node.type === 'TSImportType',
    });
  };
  // Most files name others by statements at the top alone: nothing below these has to be looked at.
  if (nestedReference.test(file.text)) walk(tree, visit);
  else for (const statement of tree.body as SyntaxNode[]) visit(statement);
  return references;
}
