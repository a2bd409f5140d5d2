/** How often each thing was really reached in a run: a message lost, a stage entered, an answer of a kind given. */
export class Coverage {
  private readonly counts = new Map<string, number>();

  count(what: string, times = 1): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + times);
  }

  get(what: string): number {
    return this.counts.get(what) ?? 0;
  }

  add(other: Readonly<Record<string, number>>): void {
    for (const [what, times] of Object.entries(other)) this.count(what, times);
  }

  toJSON(): Record<string, number> {
    return Object.fromEntries([...this.counts].sort(([one], [other]) => (one < other ? -1 : 1)));
  }
}
