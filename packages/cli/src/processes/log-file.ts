/** Reads the errors that a process has logged. */
import { readFileSync } from 'node:fs';

const pinoWarning = 40;
const atMost = 3;

/** Returns the last warnings and errors of a log, oldest first; a line that is not JSON (a crash of Node) counts as an error. */
export function lastErrors(file: string): string[] {
  return loggedErrorsOf(readText(file));
}

/** As `lastErrors`, of a log's text. */
export function loggedErrorsOf(text: string): string[] {
  return text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map(loggedErrorOf)
    .filter((loggedError) => loggedError !== undefined)
    .slice(-atMost);
}

/** Lines of a crash of Node.js around the line of its error: the place, the stack, the fields, the version. */
const aroundError = /^(\s|\}|node:|file:|Node\.js v)/;

function loggedErrorOf(line: string): string | undefined {
  if (!line.startsWith('{')) return aroundError.test(line) ? undefined : line.trim();
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
