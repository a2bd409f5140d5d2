/**
 * Calls back after so long, and after what has arrived by then has been read. Timers come before sockets in a turn of the event loop:
 * a process that was held up would take answers that wait in its socket for silence.
 *
 * @param afterMs as `setTimeout` takes it
 * @returns what takes it back
 */
export function timeoutAfterReading(afterMs: number, callback: () => void): () => void {
  let immediate: NodeJS.Immediate | undefined;
  const timer = setTimeout(() => {
    immediate = setImmediate(callback);
  }, afterMs);
  return () => {
    clearTimeout(timer);
    clearImmediate(immediate);
  };
}
