/** What a target last reported of its build, and of whether it could lead, in its echoes and replies to `identify`. Decides nothing. */
import { type Body, type Levels, levelsOfFirstVersion, type Progress } from '@conclave/protocol';

type Reported =
  | 'version'
  | 'levels'
  | 'command_version'
  | 'cannot_lead'
  | 'lacks_actor'
  | 'unapplied'
  | 'election_timeout_ms'
  | 'answers_read_ticks';
type Report = Pick<Body<'feed.echo'>, Reported>;

export class TargetReport {
  private electionTimeoutMs: number | undefined;
  private version: string | undefined;
  /** Undefined: not reported yet, or the target does not know yet which levels all of its processes support. */
  private levels: Levels | undefined;
  private commandVersion: number | undefined;
  private cannotLead = false;
  private lacksActor = false;
  private unapplied = false;
  private answersReadTicks = false;
  private hasReported = false;

  /** Whether the target has reported the levels that it supports. */
  get areLevelsKnown(): boolean {
    return this.levels !== undefined;
  }

  /** Whether the target has entries that it has not applied. */
  get hasUnappliedEntries(): boolean {
    return this.unapplied;
  }

  /** @returns whether the report differs from an earlier one in a way that the node must know before the next tick */
  update({
    version,
    levels,
    command_version,
    cannot_lead = false,
    lacks_actor = false,
    unapplied = false,
    election_timeout_ms,
    answers_read_ticks = false,
  }: Report): boolean {
    // The first version reports no levels.
    const reported = levels === undefined ? levelsOfFirstVersion : (levels ?? undefined);
    const differs =
      reported?.lowest !== this.levels?.lowest ||
      reported?.highest !== this.levels?.highest ||
      command_version !== this.commandVersion ||
      cannot_lead !== this.cannotLead ||
      lacks_actor !== this.lacksActor;
    this.unapplied = unapplied;
    this.answersReadTicks = answers_read_ticks;
    // The first report is sent to the node with the next tick.
    const mustReportNow = this.hasReported && differs;
    this.hasReported = true;
    this.electionTimeoutMs = election_timeout_ms ?? this.electionTimeoutMs;
    this.version = version;
    this.levels = reported;
    this.commandVersion = command_version;
    this.cannotLead = cannot_lead;
    this.lacksActor = lacks_actor;
    return mustReportNow;
  }

  /** The target has another store, so it may be another process, with another build. */
  forget(): void {
    this.electionTimeoutMs = undefined;
    this.version = undefined;
    this.levels = undefined;
    this.commandVersion = undefined;
    this.cannotLead = false;
    this.lacksActor = false;
    this.unapplied = false;
    this.answersReadTicks = false;
    this.hasReported = false;
  }

  progress(): Pick<Progress, Reported> {
    return {
      ...(this.electionTimeoutMs === undefined ? {} : { election_timeout_ms: this.electionTimeoutMs }),
      ...(this.version === undefined ? {} : { version: this.version }),
      ...(this.levels === undefined ? {} : { levels: this.levels }),
      ...(this.commandVersion === undefined ? {} : { command_version: this.commandVersion }),
      ...(this.cannotLead ? { cannot_lead: true } : {}),
      ...(this.lacksActor ? { lacks_actor: true } : {}),
      ...(this.unapplied ? { unapplied: true } : {}),
      ...(this.answersReadTicks ? { answers_read_ticks: true } : {}),
    };
  }
}
