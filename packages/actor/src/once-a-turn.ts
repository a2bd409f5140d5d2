/**
 * Makes a value at most once in a turn of the event loop, for each key: however many ask for it in that turn get the same.
 * So a flood of questions costs a process little more than to send the replies.
 */
export function onceATurn<Key, Value>(make: (key: Key) => Value): (key: Key) => Value {
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
