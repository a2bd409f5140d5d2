/** Serves the commands to this process: its log level, and profiles of it. */
import {
  newEndpointCounts,
  newIncarnation,
  type ProcessLog,
  type Request,
  type RequestServer,
  type ServedSubject,
} from '@conclave/actor';
import {
  ConclaveError,
  commandOutcome,
  formatIssues,
  type GroupId,
  limits,
  type ProcessCommand,
  type ProcessReply,
  processCommands,
  type Subjects,
} from '@conclave/protocol';
import type { z } from 'zod';
import { Profiler } from './profiler.js';
import type { HostedOptions } from './run-options.js';

export interface ProcessApiDependencies {
  readonly requests: RequestServer;
  readonly subjects: Subjects;
  readonly log: ProcessLog;
  /** The groups that the process hosts now. */
  readonly groups: () => readonly GroupId[];
}

const commands = Object.keys(processCommands) as ProcessCommand[];

export class ProcessApi {
  private readonly process = newIncarnation();
  private readonly profiler = new Profiler();
  private readonly served: ServedSubject[];

  constructor(
    private readonly options: Pick<HostedOptions, 'peer' | 'actors'>,
    private readonly dependencies: ProcessApiDependencies,
  ) {
    const { requests, subjects } = dependencies;
    const { peer, actors } = options;
    this.served = actors.flatMap((actor) =>
      commands.map((command) =>
        requests.serveSubject(subjects.process(peer, actor, command), newEndpointCounts(), (request) => {
          void this.answer(command, request);
        }),
      ),
    );
  }

  async close(): Promise<void> {
    this.profiler.stop();
    await Promise.all(this.served.map((subject) => subject.close()));
  }

  private async answer(command: ProcessCommand, request: Request): Promise<void> {
    try {
      const reply = await this.perform(command, request.decode());
      if (!request.reply(reply)) throw new ConclaveError('EINVAL', 'the reply is too large for a message');
      const isRead = 'level' in reply && reply.level === reply.before;
      if (!isRead) this.audit(command, request, undefined);
    } catch (error) {
      const refusal = error instanceof ConclaveError ? error : this.unforeseen(error);
      request.refuse(refusal.toBody());
      this.audit(command, request, refusal);
    }
  }

  private async perform(command: ProcessCommand, body: unknown): Promise<ProcessReply<ProcessCommand>> {
    switch (command) {
      case 'log_level':
        return this.logLevel(parsed(processCommands.log_level.request, body).level);
      case 'profile': {
        const { kind, seconds } = parsed(processCommands.profile.request, body);
        const { id, data } = await this.profiler.take(kind, seconds);
        const chunks = Math.ceil(data.length / limits.profileChunkBytes);
        return { process: this.process, profile_id: id, bytes: data.length, chunks };
      }
      case 'profile_chunk': {
        const { profile_id, number } = parsed(processCommands.profile_chunk.request, body);
        return { chunk: this.profiler.chunk(profile_id, number) };
      }
    }
  }

  private logLevel(level: ProcessReply<'log_level'>['level'] | undefined): ProcessReply<'log_level'> {
    const { log } = this.dependencies;
    const before = log.level;
    if (level !== undefined && level !== before) {
      log.level = level;
      log.write('info', 'the log level is changed', { level, before });
    }
    return { process: this.process, level: log.level, before };
  }

  /** Publishes the outcome of a command as the event `admin_command` of each group here; reading changes nothing. */
  private audit(command: ProcessCommand, request: Request, error: ConclaveError | undefined): void {
    if (command === 'profile_chunk') return;
    const { requests, groups } = this.dependencies;
    for (const group_id of groups()) {
      requests.publishEvent('admin_command', {
        group_id,
        peer_id: this.options.peer,
        term: 0,
        time: new Date().toISOString(),
        ...commandOutcome(command, request.caller, error),
      });
    }
  }

  private unforeseen(error: unknown): ConclaveError {
    this.dependencies.log.write('error', 'a command to the process failed', { err: String(error) });
    return new ConclaveError('EINVAL', `the command failed: ${(error as Error).message}`);
  }
}

/** @throws ConclaveError EINVAL */
function parsed<T>(schema: z.ZodType<T>, body: unknown): T {
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  throw new ConclaveError('EINVAL', formatIssues(result.error.issues));
}
