/** The parts that the parsers of requests share: checking a body, and making the request that a node executes. */
import type { ReplyContext, RequestContext, ServiceRequest } from '@conclave/actor/core';
import {
  type ClientId,
  type Command,
  ConclaveError,
  type ConclaveEvent,
  type Consistency,
  formatIssues,
  invariant,
  type KvOperation,
  type KvRequest,
  kvOperations,
} from '@conclave/protocol';
import { encodeEntry, type KvCommandResult, type KvEntry, type KvResult, writeEntry } from './kv-entry.js';
import type { KvFindings, KvQuery } from './kv-query.js';
import { entryCommands, eventsOf, isForced } from './lease-commands.js';

/** The result of a command that was done. */
type DoneResult = Extract<KvCommandResult, readonly ['done', number, ...unknown[]]>;

/** Returns a request that appends this entry. @param reply makes the reply from the results of its commands */
export function write(
  entry: KvEntry,
  reply: (result: KvResult, context: ReplyContext) => unknown,
  events?: (result: unknown) => readonly ConclaveEvent[],
): ServiceRequest {
  return {
    type: 'write',
    payload: encodeEntry(entry),
    command: entry,
    events,
    reply: (result, context) => {
      const kvResult = result as KvResult;
      if ('refused' in kvResult) throw new ConclaveError('EINVAL', kvResult.refused);
      return reply(kvResult, context);
    },
  };
}

/** Returns a request that appends an entry of one command. @param once the client's number of the command, if it has one */
export function writeOne(
  once: {
    readonly client_id?: ClientId | undefined;
    readonly sequence?: number | undefined;
    acknowledged?: number | undefined;
  },
  context: RequestContext,
  command: Command,
  reply: (result: DoneResult, context: ReplyContext) => unknown,
): ServiceRequest {
  if ((once.client_id === undefined) !== (once.sequence === undefined)) {
    throw new ConclaveError('EINVAL', 'client_id and sequence must be given together');
  }
  const entry = writeEntry(entryCommands([command], context, false), once.client_id, once.acknowledged);
  const events = isForced(command) ? (result: unknown) => eventsOf([command], result as KvResult) : undefined;
  return write(
    entry,
    (result, replyContext) => {
      invariant('results' in result && result.results[0] !== undefined, 'a write has a result');
      const [only] = result.results;
      // A lease id instead of a number is handled by the caller.
      if (only[0] === 'done') return reply(only as DoneResult, replyContext);
      throw new ConclaveError(only[1], only[2], only[0]);
    },
    events,
  );
}

/** Returns a request that reads. @param reply makes the reply from what was found */
export function read<Query extends KvQuery>(
  query: Query,
  consistency: Consistency | undefined,
  reply: (found: KvFindings[Query['type']], context: ReplyContext) => unknown,
): ServiceRequest {
  return {
    type: 'read',
    consistency,
    query,
    reply: (found, context) => reply(found as KvFindings[Query['type']], context),
  };
}

/** Returns the body of a request. @throws ConclaveError EINVAL: it does not match the schema of the operation */
export function checked<O extends KvOperation>(operation: O, body: unknown): KvRequest<O> {
  const parsed = kvOperations[operation].request.safeParse(body);
  if (parsed.success) return parsed.data as KvRequest<O>;
  throw new ConclaveError('EINVAL', formatIssues(parsed.error.issues));
}

/** @throws ConclaveError EINVAL if there is a fault */
export function refuseFor(fault: string | undefined): void {
  if (fault !== undefined) throw new ConclaveError('EINVAL', fault);
}
