/**
 * Makes a value at most once in a turn of the event loop, for each key: all callers of that turn get the same value. So a flood
 * of requests costs a process little more than sending the replies.
 */
export function oncePerTurn<Key, Value>(make: (key: Key) => Value): (key: Key) => Value {
  const made = new Map<Key, Value>();
  return (key) => {
    const known = made.get(key);
    if (known !== undefined) return known;
    const value = make(key);
    if (made.size === 0) setImmediate(() => made.clear());
    made.set(key, value);
    return value;
  };
}
