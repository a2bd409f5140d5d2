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

/** By which factor V8 enlarges the space for young objects (the "new space") when many of them survive; V8's default is 2. */
const youngGrowthFactor = 2;

/**
 * Keeps the space for young objects at its initial 2 MB while the code is loaded. Much of what is created meanwhile survives, so
 * V8 would enlarge the space to 16 MB, and an idle process never shrinks it. Call this before the code is loaded.
 */
export function keepYoungGenerationSmall(): void {
  setFlagsFromString('--semi-space-growth-factor=1');
}

/** Ends `keepYoungGenerationSmall`: under load, a small space would be collected too often. */
export function letYoungGenerationGrow(): void {
  setFlagsFromString(`--semi-space-growth-factor=${youngGrowthFactor}`);
}
