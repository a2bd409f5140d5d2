// How the rooms of a core import each other. A room is a folder of the core, or a file directly in the core's folder.
//
//   1. A file of another room is reached through that room's index.ts.
//   2. Rooms form no cycle.

import path from 'node:path';
import { moduleReferences, type SourceFile } from './source-file.js';

interface RoomImport {
  readonly from: string;
  readonly to: string;
  readonly fault: string | undefined;
}

/** Returns what breaks the rules among these files of `core`, one sentence each. */
export function roomFaults(core: string, files: readonly SourceFile[]): string[] {
  const imports = files.flatMap((file) => roomImports(core, file));
  const cycle = cycleAmong(imports);
  return [
    ...imports.flatMap(({ fault }) => fault ?? []),
    ...(cycle === undefined ? [] : [`the rooms form a cycle: ${cycle.join(' -> ')}`]),
  ];
}

function roomImports(core: string, file: SourceFile): RoomImport[] {
  const from = roomOf(core, file.path);
  return moduleReferences(file).flatMap(({ specifier = '', line }) => {
    if (!specifier.startsWith('.')) return [];
    const target = path.posix.join(path.posix.dirname(file.path), specifier).replace(/\.js$/, '.ts');
    const to = roomOf(core, target);
    if (to === from) return [];
    const isOpen = !target.startsWith(`${core}/${to}/`) || target === `${core}/${to}/index.ts`;
    return [{ from, to, fault: isOpen ? undefined : `${file.path}:${line}: ${specifier} is inside the room ${to}` }];
  });
}

function roomOf(core: string, file: string): string {
  return file.slice(core.length + 1).split('/')[0] ?? '';
}

/** Returns one cycle, beginning and ending with the same room; undefined where there is none. */
function cycleAmong(imports: readonly RoomImport[]): string[] | undefined {
  const next = new Map<string, Set<string>>();
  for (const { from, to } of imports) next.set(from, (next.get(from) ?? new Set()).add(to));
  const finished = new Set<string>();
  const visit = (room: string, trail: readonly string[]): string[] | undefined => {
    if (trail.includes(room)) return [...trail.slice(trail.indexOf(room)), room];
    if (finished.has(room)) return undefined;
    for (const other of next.get(room) ?? []) {
      const cycle = visit(other, [...trail, room]);
      if (cycle !== undefined) return cycle;
    }
    finished.add(room);
    return undefined;
  };
  for (const room of next.keys()) {
    const cycle = visit(room, []);
    if (cycle !== undefined) return cycle;
  }
  return undefined;
}
