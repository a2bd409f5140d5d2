/** Settings of V8 for the processes of actors. Its defaults suit web pages and programs that compute. */
import { setFlagsFromString } from 'node:v8';

/** The amount of executed bytecode, in bytes, after which V8 checks whether to optimize a function; the default is 66 KiB. */
const interruptBudget = 8000;
/** How much the old generation may grow before all of it is collected; for a small one, V8 mostly uses half. */
const heapGrowingPercent = 300;

/**
 * How soon V8 compiles functions that run often. An actor runs some hundred times a second, and does much in each turn; V8 waits
 * for many thousand calls, so that unoptimized code would run for minutes. Call this before anything runs that must be fast.
 */
export function compileSooner(): void {
  setFlagsFromString(`--interrupt-budget=${interruptBudget}`);
}

/**
 * For a process that keeps little memory and passes many messages. V8 counts the memory of messages as growth, and would collect
 * everything five times a second, although a collection of young objects finds them all. A process that keeps the state would
 * grow too large with this setting.
 */
export function collectLater(): void {
  setFlagsFromString(`--heap-growing-percent=${heapGrowingPercent}`);
}
