/** What a run has shown to be broken. */
export class InvariantViolation extends Error {
  /**
   * @param invariant the name of its file: `one-leader-a-term`
   * @param seen what was seen, for people
   */
  constructor(
    readonly invariant: string,
    readonly seen: string,
  ) {
    super(`${invariant}: ${seen}`);
    this.name = 'InvariantViolation';
  }
}
