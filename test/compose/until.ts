const pollMs = 250;

/**
 * Waits until `condition` answers something other than undefined, and answers that. What it throws counts as
 * not yet, and is told when the time is up.
 */
export async function until<T>(what: string, timeoutMs: number, condition: () => Promise<T | undefined>): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    let last: unknown;
    try {
      const value = await condition();
      if (value !== undefined) return value;
    } catch (error) {
      last = error;
    }
    if (Date.now() > deadline) {
      throw new Error(`not within ${timeoutMs} ms: ${what}`, { cause: last });
    }
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
}
