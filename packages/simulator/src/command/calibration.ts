/**
 * A fixed piece of work of the same kind as a run's: small objects, strings as keys, a map. A slow or busy machine slows both, so the
 * speed of the simulator, measured in these loops, can be compared between machines and hours.
 */
const rounds = 60_000;
const keys = 1024;

/** Runs the loop. Returns how many milliseconds it took. */
export function calibrationLoopMs(): number {
  const began = performance.now();
  const found = new Map<string, { readonly at: number; readonly random: number }>();
  let random = 1;
  let sum = 0;
  for (let at = 0; at < rounds; at++) {
    random = (Math.imul(random, 1_664_525) + 1_013_904_223) | 0;
    const key = `key ${random & (keys - 1)}`;
    sum += found.get(key)?.at ?? 0;
    found.set(key, { at, random });
  }
  if (sum <= 0) throw new Error('the loop has found nothing');
  return performance.now() - began;
}
