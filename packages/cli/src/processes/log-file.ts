/** Reads what a process has complained about in its log. */
import { readFileSync } from 'node:fs';

const pinoWarning = 40;
const atMost = 3;

/** The last warnings and errors of a log, oldest first; lines that are no JSON (a crash of Node) count as such. */
export function lastComplaints(file: string): string[] {
  return loggedErrorsOf(readText(file));
}

/** As `lastComplaints`, of a log's text. */
export function loggedErrorsOf(text: string): string[] {
  return text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map(loggedErrorOf)
    .filter((loggedError) => loggedError !== undefined)
    .slice(-atMost);
}

function loggedErrorOf(line: string): string | undefined {
  if (!line.startsWith('{')) return line.trim();
  try {
    const { level, msg, reason } = JSON.parse(line) as { level?: number; msg?: string; reason?: string };
    if (level === undefined || level < pinoWarning) return undefined;
    return reason === undefined ? msg : `${msg}: ${reason}`;
  } catch {
    return line;
  }
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
