// Files that import each other in a circle. No package may have any: a file can then be read, and tested, after those that
// it imports.

import path from 'node:path';
import { moduleReferences, type SourceFile } from './source-file.js';

/** The circles that are still there, each sorted. Whoever removes one deletes its entry: the test fails until then. */
export const KNOWN_CYCLES: readonly (readonly string[])[] = [];

/**
 * Returns the sets of files that reach each other by their imports (imports of types count), each set sorted, and all of
 * them sorted by their first file (Tarjan's strongly connected components).
 * @param files of one or more packages; imports of other packages are ignored
 */
export function importCycles(files: readonly SourceFile[]): string[][] {
  const imports = new Map(files.map((file) => [file.path, importsOf(file)]));
  return new CycleSearch(imports).run();
}

function importsOf(file: SourceFile): string[] {
  return moduleReferences(file).flatMap(({ specifier }) => {
    if (specifier?.startsWith('.') !== true) return [];
    return [path.posix.join(path.posix.dirname(file.path), specifier).replace(/\.js$/, '.ts')];
  });
}

class CycleSearch {
  private readonly order = new Map<string, number>();
  /** By file: the earliest visited file that it reaches. */
  private readonly lowest = new Map<string, number>();
  private readonly open: string[] = [];
  private readonly cycles: string[][] = [];

  constructor(private readonly imports: ReadonlyMap<string, readonly string[]>) {}

  run(): string[][] {
    for (const file of this.imports.keys()) if (!this.order.has(file)) this.visit(file);
    return this.cycles.sort(([one = ''], [other = '']) => (one < other ? -1 : 1));
  }

  private visit(file: string): void {
    const place = this.order.size;
    this.order.set(file, place);
    this.lowest.set(file, place);
    this.open.push(file);
    for (const imported of this.imports.get(file) ?? []) {
      if (!this.imports.has(imported)) continue;
      if (!this.order.has(imported)) this.visit(imported);
      if (this.open.includes(imported)) this.lower(file, this.lowest.get(imported) as number);
    }
    if (this.lowest.get(file) !== place) return;
    const component = this.open.splice(this.open.indexOf(file)).sort();
    const importsItself = this.imports.get(file)?.includes(file) === true;
    if (component.length > 1 || importsItself) this.cycles.push(component);
  }

  private lower(file: string, place: number): void {
    this.lowest.set(file, Math.min(this.lowest.get(file) as number, place));
  }
}
