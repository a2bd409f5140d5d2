/** The resources that a mesh uses at one time: bytes on disk of each peer, and resident memory of each process. */
import { readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import type { PeerId } from '@conclave/protocol';

export interface Sample {
  /** Seconds since the load began. */
  readonly seconds: number;
  /** Writes acknowledged since then. */
  readonly writes: number;
  /** Bytes of each peer's data folder. */
  readonly diskBytes: ReadonlyMap<PeerId, number>;
  /** Bytes of each process, by its name; empty if the system does not report them. */
  readonly memoryBytes: ReadonlyMap<string, number>;
}

/** The bytes of all files in a folder. Files that are deleted meanwhile do not count. */
export function bytesInFolder(folder: string): number {
  let bytes = 0;
  for (const name of namesIn(folder)) {
    const file = path.join(folder, name);
    const found = statSync(file, { throwIfNoEntry: false });
    if (found?.isDirectory() === true) bytes += bytesInFolder(file);
    else bytes += found?.size ?? 0;
  }
  return bytes;
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
