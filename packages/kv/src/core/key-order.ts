/**
 * The order of keys: that of their UTF-8 bytes, which is that of their code points.
 *
 * JavaScript compares UTF-16 units, which differs only for characters beyond U+FFFF: their surrogates (from U+D800 on)
 * sort before U+E000 to U+FFFF, but the characters sort after them.
 */

/** @returns below 0: `one` sorts first; 0: they are equal. Both are well-formed. */
export function compareKeys(one: string, other: string): number {
  const length = Math.min(one.length, other.length);
  for (let at = 0; at < length; at++) {
    const unit = one.charCodeAt(at);
    const otherUnit = other.charCodeAt(at);
    if (unit !== otherUnit) return rankOf(unit) - rankOf(otherUnit);
  }
  return one.length - other.length;
}

/** The same if at most one key has a unit from U+D800 on; several times as fast. */
export function compareLowKeys(one: string, other: string): number {
  if (one < other) return -1;
  return one === other ? 0 : 1;
}

/** Whether the key has a unit whose order among UTF-16 units may not be that of its character. */
export function hasHighUnit(key: string): boolean {
  return /[\ud800-\uffff]/.test(key);
}

/** Moves the surrogates after all other units. */
function rankOf(unit: number): number {
  if (unit < 0xd800) return unit;
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800;
}
