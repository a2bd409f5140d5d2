import type { NodeHarness } from '../node-harness.js';

/** Proposes and commits these commands. Returns what watches publish, without the replies to the proposals. */
export function write(node: NodeHarness, ...texts: string[]): string[] {
  if (texts.length > 0) node.propose(...texts);
  return watched(node.committed(node.summary.last_index));
}

/** Returns the effects that publish to a watch. */
export function watched(lines: string[]): string[] {
  return lines.filter((line) => line.startsWith('publish'));
}

/** Lets time pass while a quorum confirms the leader. Returns what watches publish. */
export function beat(node: NodeHarness, forMs: number): string[] {
  const lines: string[] = [];
  for (let passed = 0; passed < forMs; passed += 100) {
    lines.push(...watched(node.wait(100)));
    node.confirmed();
  }
  return lines;
}
