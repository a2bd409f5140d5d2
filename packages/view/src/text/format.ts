/** Formats sets, counts and times for people. */

/** `{n1,n2,n3}` */
export function peerSet(peers: readonly string[]): string {
  return `{${peers.join(',')}}`;
}

/** `{n1,n4,n5}`, or `{n1,n4,n5} and {n1,n2,n3}` while the configuration is joint. */
export function bothSets(peers: readonly string[], oldPeers: readonly string[]): string {
  return oldPeers.length === 0 ? peerSet(peers) : `${peerSet(peers)} and ${peerSet(oldPeers)}`;
}

/** `12,345` */
export function count(value: number): string {
  return Math.round(value)
    .toString()
    .replace(/\B(?=(\d{3})+$)/g, ',');
}

/** `812 B`, `64.0 KiB`, `3.2 MiB`, `1.5 GiB` */
export function bytesText(bytes: number): string {
  const units = ['KiB', 'MiB', 'GiB'];
  let value = bytes / 1024;
  if (value < 1) return `${bytes} B`;
  // What would be printed as `1024.0 KiB` is `1.0 MiB`.
  while (value >= 1023.95 && units.length > 1) {
    value /= 1024;
    units.shift();
  }
  return `${value.toFixed(1)} ${units[0]}`;
}

/** `7.5 ms`, `812 ms`, `3.25 s`, `2 min 5 s` */
export function duration(ms: number): string {
  // Each unit ends where its rounded value would be the first of the next unit.
  if (ms < 9.95) return `${ms.toFixed(1)} ms`;
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  if (ms < 59_995) return `${(ms / 1000).toFixed(2)} s`;
  const seconds = Math.round(ms / 1000);
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

/** `4 s`, `2 min 5 s`, `3 h 12 min` */
export function longDuration(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60 ? `${minutes} min ${seconds % 60} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export const stageNames = {
  none: 'none',
  catching_up: 'catching up',
  joint: 'joint',
  stable: 'stable',
} as const;
