/**
 * Where the page's records come from: a live group, a recording, or the simulator. All plug in the same way, so that the page, the
 * recorder and the tests do not know which one it is.
 */
import type { ViewRecord } from '../records/record.js';

/** What a source is, for the page's title and its time axis. */
export interface SourceInfo {
  readonly title: string;
  /** The name of the group. */
  readonly group: string;
  readonly mode: 'live' | 'replay' | 'simulate';
  /** `wall`: times are milliseconds since 1970; `virtual`: since the beginning of the run. */
  readonly time: 'wall' | 'virtual';
}

/** Receives what a source has, in order. A source calls it from its own turns, never within `subscribe`. */
export interface SourceListener {
  /** The next records. Times never decrease, except after `restarted`. */
  readonly onRecords: (records: readonly ViewRecord[]) => void;
  /** Everything received so far is void: the source jumped back or began another run. These records replace it. */
  readonly onRestarted: (info: SourceInfo, records: readonly ViewRecord[]) => void;
  /** The controls changed: `SourceControls.state` returns something else. */
  readonly onControls: () => void;
}

/** A source of records. One subscriber at a time: the server, which folds and distributes them. */
export interface ViewSource {
  readonly info: SourceInfo;
  /** Starts the source. What happened before is delivered too, if the source has it. */
  subscribe(listener: SourceListener): void;
  /** Undefined: nothing can be controlled, as with a live group. */
  readonly controls?: SourceControls | undefined;
  /** Called with the number of browsers that show the source, whenever it changes. */
  readonly onAudience?: ((browsers: number) => void) | undefined;
  close(): Promise<void>;
}

/** The value of a parameter of a command. */
export type ControlValue = string | number | boolean | readonly string[];

/** A parameter of a command: which input the page shows for it. */
export interface ControlParameter {
  readonly name: string;
  /** What the page writes beside the input. */
  readonly label: string;
  /** `choice`: one of `choices`; `set`: any number of `choices`. */
  readonly type: 'choice' | 'set' | 'number' | 'text' | 'switch';
  readonly choices?: readonly { readonly value: string; readonly label: string }[] | undefined;
  readonly initial?: ControlValue | undefined;
  readonly min?: number | undefined;
  readonly max?: number | undefined;
  readonly step?: number | undefined;
}

/** A command of a source, which the page shows as a button with its parameters. */
export interface ControlCommand {
  readonly name: string;
  /** The text of the button. */
  readonly label: string;
  /** One sentence: what it does. */
  readonly help: string;
  /** Commands with the same heading are together. Those of playback and questions come before the explanation, all others after. */
  readonly heading: string;
  readonly parameters: readonly ControlParameter[];
  /** Why it cannot be used now; undefined: it can. */
  readonly disabled?: string | undefined;
  /** The key of the keyboard that runs it without parameters. */
  readonly key?: string | undefined;
  /** It acts on one peer, named by its parameter `peer`: the page shows it in the menu of each peer too. */
  readonly onPeer?: boolean | undefined;
  /** With `onPeer`: the peers for which it makes sense now; undefined: all. */
  readonly peers?: readonly string[] | undefined;
  /** Its parameter runs it as soon as it is chosen: the page shows no button. */
  readonly immediate?: boolean | undefined;
}

/** The state of the controls, as the page shows it. Plain JSON. */
export interface ControlState {
  readonly running: boolean;
  /** How fast the time of the records passes, 1: as it happened. */
  readonly speed: number;
  /** The current time, and the first and last time there are; `to` undefined: there is no last one. */
  readonly position: { readonly at: number; readonly from: number; readonly to?: number | undefined };
  readonly commands: readonly ControlCommand[];
  /** A text beside the picture, such as the explanation of a prepared question: paragraphs of plain text, and its steps. */
  readonly explanation?:
    | {
        readonly title: string;
        readonly paragraphs: readonly string[];
        readonly steps?: readonly ExplainedStep[] | undefined;
      }
    | undefined;
  /** What the last command did, or why it failed. */
  readonly outcome?: { readonly text: string; readonly ok: boolean } | undefined;
}

/** A step of an explanation, which plays out: what it does, and what is expected of it. */
export interface ExplainedStep {
  readonly text: string;
  readonly state: 'next' | 'current' | 'done' | 'failed';
  readonly outcomes: readonly {
    readonly text: string;
    /** Whether it was seen; null: not known yet. */
    readonly holds: boolean | null;
    /** What was seen, as the run prints it. */
    readonly seen: string;
  }[];
  /** Why it failed; empty: it did not. */
  readonly error: string;
}

/** Commands to a source: playback of a recording, faults and requests in the simulator. None of them reaches a real group. */
export interface SourceControls {
  readonly state: () => ControlState;
  /**
   * Executes a command. Parameters come from the page and are checked here.
   * @throws ConclaveError EINVAL: an unknown command or parameter
   */
  run(command: string, parameters: Readonly<Record<string, ControlValue>>): Promise<void> | void;
}
