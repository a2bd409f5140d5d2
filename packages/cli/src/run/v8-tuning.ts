/** What V8 is told about the actors' processes: it is made for pages and for programs that compute, and expects another life. */
import { setFlagsFromString } from 'node:v8';

/** Bytecode, in bytes, between two looks at whether a function is worth it; V8's own is 66 KiB. */
const interruptBudget = 8000;
/** By how much the old generation may grow before all of it is collected; V8's own is mostly half for a small one. */
const heapGrowingPercent = 300;

/**
 * How soon V8 compiles what runs often. An actor is woken some hundred times a second, and does much in each turn; V8 waits
 * for many thousand calls, so that it would run for minutes on code that is not optimized. To be called before anything
 * runs that is to be fast.
 */
export function compileSooner(): void {
  setFlagsFromString(`--interrupt-budget=${interruptBudget}`);
}

/**
 * For a process that keeps little and lets much through: messages, whose memory V8 counts as grown, would have it
 * collect everything five times a second, where a look at what is young finds them all. Where the state is kept the
 * process would get too large for that.
 */
export function collectLater(): void {
  setFlagsFromString(`--heap-growing-percent=${heapGrowingPercent}`);
}
