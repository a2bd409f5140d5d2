/**
 * Calls back after a time, and after everything that was received by then has been read. In a turn of the event loop timers run before
 * sockets: a process that was paused would mistake replies that wait in its socket for silence.
 *
 * @param afterMs as for `setTimeout`
 * @returns what cancels it
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
