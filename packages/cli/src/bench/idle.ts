/** Measures what processes use while nothing is asked of them. */
import { setTimeout as sleep } from 'node:timers/promises';
import { ConclaveError } from '@conclave/protocol';
import { processorSeconds, residentBytes } from '../processes/usage.js';

export interface NamedProcess {
  readonly name: string;
  readonly pid: number;
}

export interface ProcessUsage {
  readonly name: string;
  /** 1 is one core. */
  readonly cores: number;
  readonly residentBytes: number;
}

/** Processor time and memory of a process at one time. */
export interface Reading {
  readonly name: string;
  readonly seconds: number;
  readonly residentBytes: number;
}

/**
 * Returns the usage of these processes over this time. The memory is that at its end.
 * @throws ConclaveError ENOENT if the system does not report it, or a process has ended
 */
export async function measureIdle(processes: readonly NamedProcess[], forMs: number): Promise<ProcessUsage[]> {
  const before = processes.map(read);
  const from = performance.now();
  await sleep(forMs);
  const seconds = (performance.now() - from) / 1000;
  return usageOf(before, processes.map(read), seconds);
}

/** @param before readings of the same processes, in the same order, this many seconds earlier */
export function usageOf(before: readonly Reading[], after: readonly Reading[], seconds: number): ProcessUsage[] {
  return after.map(({ name, seconds: used, residentBytes }, at) => ({
    name,
    cores: (used - (before[at]?.seconds ?? used)) / seconds,
    residentBytes,
  }));
}

function read({ name, pid }: NamedProcess): Reading {
  const [seconds, bytes] = [processorSeconds(pid), residentBytes(pid)];
  if (seconds !== undefined && bytes !== undefined) return { name, seconds, residentBytes: bytes };
  throw new ConclaveError('ENOENT', `/proc has no usage of ${name} (process ${pid}): this row needs Linux`);
}
