/** What a process uses, as Linux reports it. */
import { readFileSync } from 'node:fs';

/** The unit of the times in `/proc/<pid>/stat`, on every platform of Linux. */
const ticksPerSecond = 100;

/** Resident memory of a process; undefined if the process has ended, or on another system. */
export function residentBytes(pid: number): number | undefined {
  const kB = /^VmRSS:\s+(\d+) kB$/m.exec(textOf(pid, 'status'))?.[1];
  return kB === undefined ? undefined : 1024 * Number(kB);
}

/** Processor time of a process since its start, of all its threads; undefined if the process has ended, or on another system. */
export function processorSeconds(pid: number): number | undefined {
  const text = textOf(pid, 'stat');
  // The second field is the name of the program, which may contain spaces and brackets.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const [user, system] = [fields[11], fields[12]].map(Number);
  return Number.isFinite(user) && Number.isFinite(system)
    ? (Number(user) + Number(system)) / ticksPerSecond
    : undefined;
}

function textOf(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return '';
  }
}
