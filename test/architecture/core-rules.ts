// What a core may not do. A core is `step(event) -> effects`, synchronous and deterministic: time,
// randomness and ids arrive as input, and nothing leaves but effects.

import path from 'node:path';
import { isNode, lineAt, moduleReferences, parse, type SourceFile, type SyntaxNode, walk } from './source-file.js';

const ALLOWED_PACKAGES = ['@conclave/protocol', '@conclave/actor/core'];

/** Names that reach outside, or that make a step depend on when or where it runs. */
const FORBIDDEN_NAMES = new Set([
  ...['Date', 'performance', 'Intl'],
  ...['setTimeout', 'setInterval', 'setImmediate', 'queueMicrotask'],
  ...['Promise', 'AbortController', 'AbortSignal', 'Atomics', 'SharedArrayBuffer'],
  ...['WeakRef', 'FinalizationRegistry'],
  ...['process', 'crypto', 'console', 'fetch', 'WebSocket', 'Worker', 'MessageChannel'],
  ...['require', 'eval', 'globalThis', 'global'],
]);

/** Returns the core folder of a file, such as `packages/node/src/core`; undefined outside one. */
export function coreFolderOf(file: SourceFile): string | undefined {
  return /^packages\/[^/]+\/src\/core(?=\/)/.exec(file.path)?.[0];
}

/** Returns the violations in a core's file, one sentence each. */
export function coreFaults(file: SourceFile): string[] {
  const folder = coreFolderOf(file);
  if (folder === undefined) throw new Error(`${file.path} is in no core`);
  const faults: { line: number; fault: string }[] = [];
  for (const { specifier, line } of moduleReferences(file)) {
    const fault = importFault(specifier, file, folder);
    if (fault !== undefined) faults.push({ line, fault });
  }
  walk(parse(file), (node, parent, field) => {
    const fault = nodeFault(node, parent, field);
    if (fault !== undefined) faults.push({ line: lineAt(file.text, node.start), fault });
  });
  return faults.sort((a, b) => a.line - b.line).map(({ line, fault }) => `${file.path}:${line}: ${fault}`);
}

function importFault(specifier: string | undefined, file: SourceFile, folder: string): string | undefined {
  if (specifier?.startsWith('.')) {
    const target = path.posix.join(path.posix.dirname(file.path), specifier);
    return target.startsWith(`${folder}/`) ? undefined : `${specifier} is outside the core`;
  }
  if (specifier !== undefined && ALLOWED_PACKAGES.includes(specifier)) return undefined;
  return `a core does not import ${specifier ?? 'a specifier that is computed'}`;
}

function nodeFault(node: SyntaxNode, parent: SyntaxNode | undefined, field: string): string | undefined {
  switch (node.type) {
    case 'Identifier':
      return identifierFault(node, parent, field);
    case 'MemberExpression':
      return isNamed(node.object, 'Math') && memberName(node) === 'random' ? 'uses Math.random' : undefined;
    case 'VariableDeclarator':
      return isNamed(node.init, 'Math') ? 'takes Math apart' : undefined;
    case 'ImportExpression':
      return 'imports dynamically';
    case 'MetaProperty':
      return isNamed(node.meta, 'import') ? 'uses import.meta' : undefined;
    case 'AwaitExpression':
      return 'awaits';
    case 'ForOfStatement':
      return node.await === true ? 'awaits' : undefined;
    case 'FunctionDeclaration':
    case 'FunctionExpression':
    case 'ArrowFunctionExpression':
      return node.async === true ? 'has an async function' : undefined;
    default:
      return undefined;
  }
}

function identifierFault(node: SyntaxNode, parent: SyntaxNode | undefined, field: string): string | undefined {
  const name = String(node.name);
  if (!FORBIDDEN_NAMES.has(name)) return undefined;
  return parent !== undefined && isOnlyALabel(parent, field) ? undefined : `uses ${name}`;
}

/** `x.process`, `{ process: 1 }` and `interface A { process: X }` name a member, not the global. */
function isOnlyALabel(parent: SyntaxNode, field: string): boolean {
  if (parent.computed === true) return false;
  if (field === 'property') return parent.type === 'MemberExpression';
  if (field === 'right') return parent.type === 'TSQualifiedName';
  // In `{ process }` the name is both: the key is a label, the value is the global.
  return field === 'key';
}

function isNamed(value: unknown, name: string): boolean {
  return isNode(value) && value.type === 'Identifier' && value.name === name;
}

/** The member's name, if it is in the source: `a.b`, `a["b"]`. */
function memberName(node: SyntaxNode): unknown {
  const property = node.property;
  if (!isNode(property)) return undefined;
  if (property.type === 'Literal') return property.value;
  return node.computed === true ? undefined : property.name;
}
