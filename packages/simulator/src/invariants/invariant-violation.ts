/** A run has broken an invariant. */
export class InvariantViolation extends Error {
  /**
   * @param invariant the name of its file: `election-safety`
   * @param seen what was observed, for people
   */
  constructor(
    readonly invariant: string,
    readonly seen: string,
  ) {
    super(`${invariant}: ${seen}`);
    this.name = 'InvariantViolation';
  }
}
