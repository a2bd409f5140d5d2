/**
 * What a request to a node means: the input of the node's core that it becomes, and how its reply is made. Pure: the
 * node's process and the simulator parse all requests by this.
 *
 * The core checks the size of an entry (`proposals.ts`), and whether this peer may carry the request out.
 */
import type { ReplyContext, RequestContext, Service, WatchBegun, WatchClosed } from '@conclave/actor/core';
import {
  type AdminCommand,
  type Api,
  adminCommands,
  ConclaveError,
  type ConclaveEvent,
  type Encoding,
  formatIssues,
  isAdminCommand,
  readCommands,
} from '@conclave/protocol';
import type { NodeInput } from '../core/index.js';

/** To whom a request is addressed: to the leader, on the group's subjects, or to this peer. */
export type Addressee = 'group' | 'peer';

/** A request, decoded and not checked yet. */
export interface DecodedRequest {
  readonly addressee: Addressee;
  readonly api: Api;
  /** The command or operation. */
  readonly name: string;
  readonly encoding: Encoding;
  readonly body: unknown;
  /** Its trace (`traceparent`), if it has one. */
  readonly trace?: string | undefined;
}

export interface ParseContext extends RequestContext {
  /** The leader that this peer knows of; empty: none. */
  readonly leaderId: string;
}

export interface ParsedRequest {
  /** Returns the input of the core, in which the request has this number. */
  readonly input: (requestId: number) => NodeInput;
  /** Makes the reply of the core's result. @throws ConclaveError */
  readonly reply: (result: unknown, context: ReplyContext) => unknown;
  /** Whether it changes something: if it fails, its outcome may be unknown. */
  readonly writes: boolean;
  /** The events that the leader publishes of the core's result. */
  readonly events?: ((result: unknown) => readonly ConclaveEvent[]) | undefined;
  /** The command whose outcome is published as an event. */
  readonly audited?: AdminCommand;
}

/**
 * Parses a request to a node.
 * @throws ConclaveError EINVAL, ENOENT or EPERM, with the outcome `not_done`; whatever `service` throws
 */
export function parseRequest(request: DecodedRequest, service: Service, context: ParseContext): ParsedRequest {
  return request.api === 'admin' ? parseCommand(request) : parseOperation(request, service, context);
}

/** Returns whether a request of this name changes nothing. Its body is not known yet. */
export function isReadOnly(api: Api, name: string, service: Service): boolean {
  if (api === 'admin') return isAdminCommand(name) && readCommands.includes(name);
  return service.reads?.(name) ?? false;
}

function parseCommand({ addressee, name, body }: DecodedRequest): ParsedRequest {
  if (!isAdminCommand(name)) throw new ConclaveError('ENOENT', `there is no command ${JSON.stringify(name)}`);
  const { answeredBy, request: schema } = adminCommands[name];
  if (!answeredBy.includes(addressee)) {
    const subject = addressee === 'group' ? '<group>.<peer>.admin' : '<group>.admin';
    throw new ConclaveError('ENOENT', `${name} is a command on ${subject}`);
  }
  const parsed = schema.safeParse(body);
  if (!parsed.success) throw new ConclaveError('EINVAL', formatIssues(parsed.error.issues));
  const writes = !readCommands.includes(name);
  // A restore is one command, `bootstrap`: its chunks change nothing by themselves.
  const isAudited = writes && name !== 'restore_chunk';
  return {
    input: (requestId) => ({ type: 'admin', requestId, addressee, command: name, body: parsed.data }),
    reply: (result) => result,
    writes,
    ...(isAudited ? { audited: name } : {}),
  };
}

function parseOperation(
  { addressee, name, encoding, body, trace }: DecodedRequest,
  service: Service,
  context: ParseContext,
): ParsedRequest {
  const parsed = service.parse(name, body, context);
  const { groupUid } = parsed;
  if (parsed.type === 'read') {
    const { query, reply } = parsed;
    const consistency = parsed.consistency ?? (addressee === 'peer' ? 'stale' : 'linearizable');
    const isStale = consistency === 'stale';
    return {
      input: (requestId) => ({ type: 'read', requestId, addressee, consistency, query, groupUid }),
      reply: (result, replyContext) => reply(result, { ...replyContext, isStale }),
      writes: false,
    };
  }
  if (addressee === 'peer') {
    const what = parsed.type === 'write' ? 'a write' : 'a watch';
    const message = `${what} goes to <group>.kv, which the leader answers`;
    throw new ConclaveError('EPERM', message, 'not_done', context.leaderId);
  }
  switch (parsed.type) {
    case 'watch': {
      const { watchId, selector, from, reply } = parsed;
      return {
        input: (requestId) => ({ type: 'watch', requestId, watchId, selector, from, groupUid, encoding }),
        reply: (result, replyContext) => reply(result as WatchBegun, replyContext),
        writes: false,
      };
    }
    case 'unwatch': {
      const { watchId, reply } = parsed;
      return {
        input: (requestId) => ({ type: 'unwatch', requestId, watchId, groupUid }),
        reply: (result, replyContext) => reply(result as WatchClosed, replyContext),
        writes: false,
      };
    }
    case 'write': {
      const { payload, command, version, reply, events } = parsed;
      return {
        input: (requestId) => ({ type: 'propose', requestId, payload, command, version, groupUid, trace }),
        reply,
        writes: true,
        events,
      };
    }
  }
}
