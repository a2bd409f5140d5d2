/** What a peer reports of the build that it runs, with its identity and its echoes. */
import type { Levels } from '@conclave/protocol';
import type { NodeOptions } from '../inputs-and-effects.js';
import type { NodeState } from '../state/index.js';

export interface Build {
  readonly version?: string;
  readonly levels: Levels | null;
  readonly command_version?: number;
}

export function build({ version }: NodeOptions, state: NodeState): Build {
  const { commandVersion } = state;
  return {
    ...(version === undefined ? {} : { version }),
    levels: state.peerLevels,
    ...(commandVersion === undefined ? {} : { command_version: commandVersion }),
  };
}
