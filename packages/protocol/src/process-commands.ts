/**
 * The commands to one process of a peer, the one that hosts an actor: its log level, and profiles of it. Requests are JSON or msgpack
 * on `<prefix>.admin.<peer>.<actor>.<command>`, the reply in the encoding of the request.
 */
import { z } from 'zod';
import { limits } from './limits.js';
import { Bytes, Count, Incarnation } from './types.js';

export const LogLevelName = z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']);
export type LogLevelName = z.infer<typeof LogLevelName>;

export const ProfileKind = z.enum(['cpu', 'heap']);
export type ProfileKind = z.infer<typeof ProfileKind>;

export const processCommands = {
  log_level: {
    purpose:
      'sets the lowest level that this process logs, until it ends; without `level` it only returns the current one',
    request: z.strictObject({ level: LogLevelName.optional() }),
    /** `process`: the run of the process; other actors may share it. */
    reply: z.object({ process: Incarnation, level: LogLevelName, before: LogLevelName }),
  },
  profile: {
    purpose:
      'takes a profile of this process for some seconds, and then replies how many chunks it has: of the functions that take processor time (`cpu`), or that allocate memory (`heap`). EBUSY: one is being taken',
    request: z.strictObject({ kind: ProfileKind, seconds: z.number().int().min(1).max(limits.profileSeconds) }),
    reply: z.object({ process: Incarnation, profile_id: z.string().max(limits.idBytes), bytes: Count, chunks: Count }),
  },
  profile_chunk: {
    purpose: 'returns a chunk of the last profile of this process. It is dropped after a minute (ENOENT)',
    request: z.strictObject({ profile_id: z.string().max(limits.idBytes), number: Count }),
    reply: z.object({ chunk: Bytes }),
  },
} as const;

export type ProcessCommands = typeof processCommands;
export type ProcessCommand = keyof ProcessCommands;
export type ProcessRequest<C extends ProcessCommand> = z.infer<ProcessCommands[C]['request']>;
export type ProcessReply<C extends ProcessCommand> = z.infer<ProcessCommands[C]['reply']>;
