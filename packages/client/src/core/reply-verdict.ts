/**
 * What follows from the reply to one attempt to send a request: which calls are settled, and whether the others are sent
 * again.
 *
 * A pure function of the attempt, the reply and the time: it changes nothing. `ClientCore` carries out what it returns.
 */
import {
  type ClientId,
  type CommandResult,
  type ErrorBody,
  ErrorCode,
  type GroupUid,
  type OperationResult,
  type Value,
} from '@conclave/protocol';
import type { AdminCall, Call, QueryCall, Reply, Settlement, WriteCall } from './call.js';
import type { Attempt, AttemptOutcome, OpenCall } from './client-request.js';
import {
  adminReplyOf,
  clientIdOf,
  errorOf,
  foundOf,
  groupUidOf,
  ownValue,
  queryReplyOf,
  resultsOf,
} from './parse-reply.js';
import { isSentAgain, isTransient } from './retry.js';
import { isReadOnlyCall } from './validate-call.js';

type DoneResult = Extract<CommandResult, readonly ['done', ...unknown[]]>;

export interface ReplyVerdict {
  /** What the attempt is known to have done. */
  readonly outcome: AttemptOutcome;
  /** The calls that the reply settles, in their order in the request. */
  readonly settlements: readonly (readonly [call: OpenCall, settlement: Settlement])[];
  /** How the calls that are still open are sent again; undefined: they are not. */
  readonly resend?: 'at_once' | { readonly problem: string; readonly refusal?: ErrorBody };
  /** The history that the group's leader replied from. */
  readonly history?: GroupUid;
  /** The group is no longer in this history, which the request named. */
  readonly endedHistory?: GroupUid;
  /** Of a request for a session: its id, or why the group opens none. */
  readonly session?: { readonly clientId: ClientId } | { readonly error: ErrorBody };
  /** The group no longer knows the session of the request: the writes that were not done, and are sent in another session. */
  readonly callsOfLostSession?: readonly OpenCall[];
  /** Whether the attempt reached no peer. */
  readonly isUndelivered?: boolean;
  /** Whether the reply could not be read. */
  readonly isMalformed?: boolean;
}

/** What a verdict needs in addition to the attempt and its reply. */
export interface VerdictContext {
  /** Milliseconds on the process's monotonic clock. */
  readonly nowMs: number;
  /** How long a call waits for a leader by default, in milliseconds. */
  readonly timeoutMs: number;
}

/**
 * @param attempt the attempt that got the reply; one attempt may get several replies
 * @returns what the client's core does next
 */
export function verdictOf(attempt: Attempt, reply: Reply, context: VerdictContext): ReplyVerdict {
  switch (reply.type) {
    case 'body':
      return onBody(attempt, reply.body, context);
    case 'malformed':
      return onMalformed(attempt);
    case 'no_responders':
      return onNotDelivered(attempt, 'nobody answers', context);
    case 'not_sent':
      return onNotDelivered(attempt, reply.message, context, reply.code);
    case 'not_permitted':
      return onNotPermitted(attempt, reply);
  }
}

/** How a call ends that gets no reply: unknown only if it changes something and `mayHaveRun`. */
export function settlementWithoutReply(call: Call, code: ErrorCode, message: string, mayHaveRun: boolean): Settlement {
  const outcome = mayHaveRun && !isReadOnlyCall(call) ? 'unknown' : 'not_done';
  return { outcome, error: { code, message, outcome } };
}

function onBody(attempt: Attempt, body: unknown, context: VerdictContext): ReplyVerdict {
  const error = errorOf(body);
  if (error === 'malformed') return onMalformed(attempt);
  if (error !== undefined) return onError(attempt, error, context);
  const { target } = attempt.request;
  const history = target.api === 'kv' && target.peerId === undefined ? groupUidOf(body) : undefined;
  const verdict = onContent(attempt, body);
  return history === undefined ? verdict : { ...verdict, history };
}

function onContent(attempt: Attempt, body: unknown): ReplyVerdict {
  switch (attempt.request.kind) {
    case 'write':
      return onResults(attempt, resultsOf(body, attempt.calls));
    case 'read':
      return onFound(attempt, foundOf(body, attempt.calls.length));
    case 'query':
    case 'admin':
      return onSingleReply(attempt, body);
    case 'session': {
      const clientId = clientIdOf(body);
      if (clientId === undefined) return onMalformed(attempt);
      return { outcome: attempt.outcome, settlements: [], session: { clientId } };
    }
  }
}

function onResults(attempt: Attempt, results: readonly CommandResult[] | undefined): ReplyVerdict {
  if (results === undefined) return onMalformed(attempt);
  const { request } = attempt;
  const earlierMayHaveRun = request.mayHaveRun(attempt);
  const settlements: [OpenCall, Settlement][] = [];
  const callsOfLostSession: OpenCall[] = [];
  let isSessionLost = false;
  let problem = '';
  for (let place = 0; place < attempt.calls.length; place++) {
    const [call, result] = [attempt.calls[place], results[place]];
    if (call === undefined || result === undefined || call.isSettled || call.request !== request) continue;
    if (result[0] === 'done') {
      settlements.push([call, { outcome: 'done', result: doneResult(call.call as WriteCall, result) }]);
      continue;
    }
    const [outcome, code, message] = result;
    const isLost = outcome === 'unknown' && code === 'ESESSION';
    isSessionLost ||= isLost;
    // The group does nothing for a session that it does not know: only an earlier attempt can have executed the write.
    if (isLost && !earlierMayHaveRun) callsOfLostSession.push(call);
    else if (outcome === 'not_done' && isTransient(code)) problem = `${code}: ${message}`;
    else settlements.push([call, failure(call, { code: codeOf(code), message, outcome }, earlierMayHaveRun)]);
  }
  // This attempt has not executed the calls that are still open.
  const verdict: ReplyVerdict = { outcome: 'not_done', settlements, resend: { problem } };
  return isSessionLost ? { ...verdict, callsOfLostSession } : verdict;
}

function onFound(attempt: Attempt, found: readonly (readonly [Value | null, number])[] | undefined): ReplyVerdict {
  if (found === undefined) return onMalformed(attempt);
  const settlements: [OpenCall, Settlement][] = [];
  for (const [index, [value, revision]] of found.entries()) {
    const call = attempt.calls[index];
    if (call === undefined || call.isSettled || call.call.operation !== 'get') continue;
    // Decoded bytes are views, and would keep the whole message in memory.
    settlements.push([call, { outcome: 'done', result: { key: call.call.key, value: ownValue(value), revision } }]);
  }
  // A reply has room for the first keys only: the others are asked for again at once.
  return { outcome: 'not_done', settlements, resend: 'at_once' };
}

/** The reply to a request that holds one call. */
function onSingleReply(attempt: Attempt, body: unknown): ReplyVerdict {
  const { outcome } = attempt;
  const [open] = attempt.request.openCalls();
  if (open === undefined) return { outcome, settlements: [] };
  const call = open.call as QueryCall | AdminCall;
  const result = call.operation === 'admin' ? adminReplyOf(call.command, body) : queryReplyOf(call.name, body);
  if (result === undefined) return onMalformed(attempt);
  return { outcome, settlements: [[open, { outcome: 'done', result }]] };
}

function onError(attempt: Attempt, error: ErrorBody, context: VerdictContext): ReplyVerdict {
  const { request } = attempt;
  const { groupUid, target } = request;
  // A peer that is asked by its name may still be in an earlier history.
  const hasEnded = error.code === 'EHISTORY' && groupUid !== undefined && target.peerId === undefined;
  const outcome = error.outcome === 'unknown' || attempt.outcome === 'unknown' ? 'unknown' : 'not_done';
  const verdict: ReplyVerdict = { outcome, settlements: [], ...(hasEnded ? { endedHistory: groupUid } : {}) };
  if (isSentAgain(request, error, namesLeader(attempt)) && !exceededDefaultTimeout(attempt, context)) {
    return { ...verdict, resend: { problem: `${error.code}: ${error.message}`, refusal: error } };
  }
  if (request.kind === 'session') return { ...verdict, session: { error } };
  return { ...verdict, settlements: failAll(attempt, error, request.mayHaveRun(attempt)) };
}

/** There was a reply, but it could not be read. */
function onMalformed(attempt: Attempt): ReplyVerdict {
  const verdict: ReplyVerdict = { outcome: 'unknown', settlements: [], isMalformed: true };
  if (attempt.request.kind !== 'admin') return { ...verdict, resend: { problem: 'a reply could not be read' } };
  const error: ErrorBody = { code: 'EINVAL', message: 'the reply could not be read', outcome: 'unknown' };
  return { ...verdict, settlements: failAll(attempt, error, true) };
}

function onNotDelivered(
  attempt: Attempt,
  problem: string,
  context: VerdictContext,
  code: ErrorCode = 'EUNREACHABLE',
): ReplyVerdict {
  const { request } = attempt;
  const outcome = attempt.outcome === 'pending' ? 'not_done' : attempt.outcome;
  if (!exceededDefaultTimeout(attempt, context)) {
    const refusal: ErrorBody = { code, message: problem, outcome: 'not_done' };
    const resend = code === 'ELOGIN' ? { problem, refusal } : { problem };
    return { outcome, settlements: [], isUndelivered: request.isAwaiting(attempt), resend };
  }
  const mayHaveRun = outcome !== 'not_done' || request.mayHaveRun(attempt);
  const settlements = request
    .openCalls()
    .map((call) => [call, settlementWithoutReply(call.call, code, problem, mayHaveRun)] as const);
  return { outcome, settlements };
}

function onNotPermitted(attempt: Attempt, reply: Extract<Reply, { type: 'not_permitted' }>): ReplyVerdict {
  const { request } = attempt;
  const outcome = attempt.outcome === 'pending' ? reply.outcome : attempt.outcome;
  const error: ErrorBody = { code: 'EPERM', message: reply.message, outcome: reply.outcome };
  if (request.kind === 'session') {
    return { outcome, settlements: [], session: { error: { ...error, outcome: 'not_done' } } };
  }
  return { outcome, settlements: failAll(attempt, error, request.mayHaveRun(attempt)) };
}

/** People wait for a command, so it looks for a leader as long as other calls do, not as long as it may take. */
function exceededDefaultTimeout({ request }: Attempt, { nowMs, timeoutMs }: VerdictContext): boolean {
  const hasExceeded = (call: OpenCall) => nowMs - (call.deadlineMs - call.timeoutMs) >= timeoutMs;
  return request.kind === 'admin' && request.openCalls().every(hasExceeded);
}

function failAll({ request }: Attempt, error: ErrorBody, earlierMayHaveRun: boolean): ReplyVerdict['settlements'] {
  return request.openCalls().map((call) => [call, failure(call, error, earlierMayHaveRun)]);
}

/** How a call ends with an error. If an earlier attempt may have been executed, the outcome is unknown, whatever this error contains. */
function failure(call: OpenCall, error: ErrorBody, earlierMayHaveRun: boolean): Settlement {
  const mayHaveRun = error.outcome === 'unknown' || earlierMayHaveRun;
  const outcome = mayHaveRun && !isReadOnlyCall(call.call) ? 'unknown' : 'not_done';
  return { outcome, error: { ...error, outcome } };
}

function doneResult(call: WriteCall, [, revision, changed, results = []]: DoneResult): unknown {
  switch (call.operation) {
    case 'put':
      return { revision };
    case 'delete':
      return { deleted: changed, revision };
    case 'cas':
      return { swapped: changed, revision };
    // These return an id, a time, or a token instead of a revision.
    case 'lease_grant':
      return { lease_id: revision, ttl_ms: call.ttlMs };
    case 'lease_keep':
      return { lease_id: call.leaseId, ttl_ms: revision };
    case 'lease_revoke':
      return { revoked: changed, revision };
    case 'lock':
      return { acquired: changed, token: revision };
    case 'unlock':
      return { released: changed, revision };
    case 'txn':
      return { succeeded: changed, revision, results: results.map(ownResult) };
  }
}

function ownResult(result: OperationResult): OperationResult {
  return result[0] === 'get' ? ['get', ownValue(result[1]), result[2]] : result;
}

function namesLeader({ calls: [first] }: Attempt): boolean {
  if (first?.call.operation !== 'admin') return false;
  return (first.call.body as { readonly leader_id?: string }).leader_id !== undefined;
}

function codeOf(code: string): ErrorCode {
  const parsed = ErrorCode.safeParse(code);
  return parsed.success ? parsed.data : 'ESTATEMACHINE';
}
