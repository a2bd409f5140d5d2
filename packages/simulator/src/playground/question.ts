/** A question about membership changes, as a prepared run: it answers by what happens. */

/** What must have been printed by the commands of a step, in a plain sentence and as a scenario prints it. */
export interface Outcome {
  readonly says: string;
  /** This line was printed; */
  readonly line?: string | undefined;
  /** or no line that contains this. */
  readonly no?: string | undefined;
}

export interface QuestionStep {
  /** What happens next, and why. */
  readonly text: string;
  /** Commands of the language of scenarios (`test/scenarios/README.md`). `group` begins a new story. */
  readonly commands: readonly string[];
  readonly outcomes: readonly Outcome[];
}

export interface Question {
  /** Words with hyphens. */
  readonly name: string;
  /** As in docs/membership-change.md. */
  readonly title: string;
  /** The answer in short. */
  readonly answer: string;
  readonly steps: readonly QuestionStep[];
}

/** Whether an outcome holds, by the lines that its step has printed. */
export function holds({ line, no }: Outcome, printed: readonly string[]): boolean {
  if (line !== undefined && !printed.includes(line)) return false;
  return no === undefined || !printed.some((text) => text.includes(no));
}
