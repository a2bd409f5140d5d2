/**
 * The log of an actor: JSON lines on stderr, each with group, peer, actor, term and session.
 */
import { type ActorKind, type GroupId, LogLevelName, type Message, type PeerId } from '@conclave/protocol';
import { type DestinationStream, destination, type Logger, pino } from 'pino';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'fatal';
export const logLevels: readonly string[] = LogLevelName.options;

/** Writes a line. */
export interface LineLog {
  write(level: LogLevel, text: string, fields?: Readonly<Record<string, unknown>>): void;
}

/** A log whose lowest level can be changed. */
export interface ProcessLog extends LineLog {
  level: LogLevelName;
}

/**
 * The log of the process. Lines are written before the call returns, so that the last lines of a failing process are not lost.
 * @param bindings fields of each line that does not set them itself
 */
export function processLog(
  level: string,
  bindings: Readonly<Record<string, unknown>> = {},
  out: DestinationStream = destination({ fd: 2, sync: true }),
): ProcessLog {
  const logger = pino(
    { level, base: { pid: process.pid }, timestamp: () => `,"time":"${new Date().toISOString()}"` },
    out,
  );
  return lineLog(logger, bindings);
}

/** A log that writes nothing. */
export const silentLog: LineLog = { write: () => undefined };

function lineLog(logger: Logger, bindings: Readonly<Record<string, unknown>>): ProcessLog {
  return {
    get level() {
      return LogLevelName.parse(logger.level);
    },
    set level(level) {
      logger.level = level;
    },
    write: (level, text, fields) => {
      // Bindings of pino itself would appear twice in a line that sets the same fields.
      if (logger.isLevelEnabled(level)) logger[level]({ ...bindings, ...fields }, text);
    },
  };
}

/** Adds the actor to each line, and the term and session that its messages name. */
export class ActorLog implements LineLog {
  private term = 0;
  private session = 0;

  constructor(
    private readonly log: LineLog,
    private readonly actor: { readonly groupId: GroupId; readonly peerId: PeerId; readonly actor: ActorKind },
  ) {}

  /** Notes term and session of a message that the actor sent or received. */
  note(message: Message): void {
    const { term, leader_term, session } = message.body as Partial<Record<'term' | 'leader_term' | 'session', number>>;
    const named = term ?? leader_term;
    if (named !== undefined && named > this.term) this.term = named;
    // Other peers send `stored`, too, with their own sessions.
    if (session !== undefined && message.name !== 'feed.stored') this.session = session;
  }

  write(level: LogLevel, text: string, fields?: Readonly<Record<string, unknown>>): void {
    const { groupId, peerId, actor } = this.actor;
    const { term, session } = this;
    this.log.write(level, text, { group: groupId, peer: peerId, actor, term, session, ...fields });
  }
}
