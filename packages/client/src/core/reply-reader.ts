/**
 * What follows from the reply to one attempt: which calls are settled, and whether the rest is sent again.
 *
 * Owns nothing: it reads replies and tells the client's core.
 */
import { type CommandResult, type ErrorBody, ErrorCode, type OperationResult, type Value } from '@conclave/protocol';
import type { AdminCall, Instant, QueryCall, Reply, WriteCall } from './call.js';
import { onlyAsks } from './call-check.js';
import type { ClientCore } from './client-core.js';
import type { Attempt, OpenCall } from './client-request.js';
import {
  adminReplyOf,
  clientIdOf,
  errorOf,
  foundOf,
  groupUidOf,
  ownValue,
  queryReplyOf,
  resultsOf,
} from './reply-check.js';
import { isSentAgain, passes } from './retry.js';

type DoneResult = Extract<CommandResult, readonly ['done', ...unknown[]]>;

export class ReplyReader {
  constructor(private readonly core: ClientCore) {}

  onReply(attempt: Attempt, reply: Reply, at: Instant): void {
    switch (reply.type) {
      case 'body':
        return this.onBody(attempt, reply.body, at);
      case 'malformed':
        return this.onMalformed(attempt, at);
      case 'no_responders':
        return this.onNotDelivered(attempt, 'nobody answers', at);
      case 'not_sent':
        return this.onNotDelivered(attempt, reply.message, at);
      case 'not_permitted':
        return this.onNotPermitted(attempt, reply);
    }
  }

  private onBody(attempt: Attempt, body: unknown, at: Instant): void {
    const error = errorOf(body);
    if (error === 'malformed') return this.onMalformed(attempt, at);
    if (error !== undefined) return this.onError(attempt, error, at);
    const { kind, target } = attempt.request;
    const groupUid = target.door === 'kv' && target.peerId === undefined ? groupUidOf(body) : undefined;
    if (groupUid !== undefined) this.core.onHistory(groupUid);
    switch (kind) {
      case 'write':
        return this.onResults(attempt, resultsOf(body, attempt.calls), at);
      case 'read':
        return this.onFound(attempt, foundOf(body, attempt.calls.length), at);
      case 'query':
      case 'admin':
        return this.onOwnReply(attempt, body, at);
      case 'session': {
        const clientId = clientIdOf(body);
        return clientId === undefined ? this.onMalformed(attempt, at) : this.core.onSession(clientId);
      }
    }
  }

  private onResults(attempt: Attempt, results: readonly CommandResult[] | undefined, at: Instant): void {
    if (results === undefined) return this.onMalformed(attempt, at);
    const { request } = attempt;
    const othersMayHave = request.mayHaveHappened(attempt);
    const undone: OpenCall[] = [];
    let sessionLost = false;
    let problem = '';
    for (let place = 0; place < attempt.calls.length; place++) {
      const [call, result] = [attempt.calls[place], results[place]];
      if (call === undefined || result === undefined || call.settled || call.request !== request) continue;
      if (result[0] === 'done') {
        this.core.settle(call, { outcome: 'done', result: doneResult(call.call as WriteCall, result) });
        continue;
      }
      const [outcome, code, message] = result;
      const lost = outcome === 'unknown' && code === 'ESESSION';
      sessionLost ||= lost;
      // The group does nothing for a session that it does not know: only an attempt before can have done it.
      if (lost && !othersMayHave) undone.push(call);
      else if (outcome === 'not_done' && passes(code)) problem = `${code}: ${message}`;
      else this.fail(call, { code: codeOf(code), message, outcome }, othersMayHave);
    }
    // What is left of its calls was not done by this attempt.
    attempt.verdict = 'not_done';
    if (sessionLost) this.core.onSessionLost(request.session, undone);
    if (request.open > 0) this.sendAgain(attempt, problem, at);
  }

  private onFound(
    attempt: Attempt,
    found: readonly (readonly [Value | null, number])[] | undefined,
    at: Instant,
  ): void {
    if (found === undefined) return this.onMalformed(attempt, at);
    attempt.verdict = 'not_done';
    for (const [index, [value, revision]] of found.entries()) {
      const call = attempt.calls[index];
      if (call === undefined || call.settled || call.call.operation !== 'get') continue;
      // Decoded bytes are views, and would keep the whole message in memory.
      this.core.settle(call, { outcome: 'done', result: { key: call.call.key, value: ownValue(value), revision } });
    }
    // More did not fit into the answer.
    if (attempt.request.open > 0 && attempt.request.awaits(attempt)) this.core.send(attempt.request, at);
  }

  /** The reply to the only call of its request. */
  private onOwnReply(attempt: Attempt, body: unknown, at: Instant): void {
    const [open] = attempt.request.openCalls();
    if (open === undefined) return;
    const call = open.call as QueryCall | AdminCall;
    const result = call.operation === 'admin' ? adminReplyOf(call.command, body) : queryReplyOf(call.name, body);
    if (result === undefined) return this.onMalformed(attempt, at);
    this.core.settle(open, { outcome: 'done', result });
  }

  private onError(attempt: Attempt, error: ErrorBody, at: Instant): void {
    const { request } = attempt;
    const { groupUid, target } = request;
    // A peer that is asked itself may have been left behind in an earlier history.
    const isOver = error.code === 'EHISTORY' && groupUid !== undefined && target.peerId === undefined;
    if (isOver) this.core.onHistoryEnded(groupUid);
    const othersMayHave = request.mayHaveHappened(attempt);
    attempt.verdict = error.outcome === 'unknown' || attempt.verdict === 'unknown' ? 'unknown' : 'not_done';
    if (isSentAgain(request, error, namesLeader(attempt)) && !this.isOutOfPatience(attempt, at)) {
      this.sendAgain(attempt, `${error.code}: ${error.message}`, at, error);
    } else if (request.kind === 'session') {
      this.core.onNoSession(error);
    } else {
      for (const call of request.openCalls()) this.fail(call, error, othersMayHave);
    }
  }

  /** An answer was given, but not one that tells anything. */
  private onMalformed(attempt: Attempt, at: Instant): void {
    this.core.drop('malformed_reply');
    attempt.verdict = 'unknown';
    const { request } = attempt;
    if (request.kind !== 'admin') return this.sendAgain(attempt, 'an answer could not be read', at);
    const error: ErrorBody = { code: 'EINVAL', message: 'the answer could not be read', outcome: 'unknown' };
    for (const call of request.openCalls()) this.fail(call, error, true);
  }

  private onNotDelivered(attempt: Attempt, problem: string, at: Instant): void {
    if (attempt.verdict === 'pending') attempt.verdict = 'not_done';
    if (!this.isOutOfPatience(attempt, at)) {
      attempt.request.undelivered = attempt.request.awaits(attempt);
      return this.sendAgain(attempt, problem, at);
    }
    for (const call of attempt.request.openCalls()) this.core.settleWithoutAnswer(call, 'EUNREACHABLE', problem);
  }

  private onNotPermitted(attempt: Attempt, { message, outcome }: Extract<Reply, { type: 'not_permitted' }>): void {
    const { request } = attempt;
    const othersMayHave = request.mayHaveHappened(attempt);
    if (attempt.verdict === 'pending') attempt.verdict = outcome;
    const error: ErrorBody = { code: 'EPERM', message, outcome };
    if (request.kind === 'session') return this.core.onNoSession({ ...error, outcome: 'not_done' });
    for (const call of request.openCalls()) this.fail(call, error, othersMayHave);
  }

  /** People wait for a command, so it looks for a leader as long as other calls do, not as long as it may take. */
  private isOutOfPatience({ request }: Attempt, at: Instant): boolean {
    return request.kind === 'admin' && request.openCalls().every((call) => this.core.isOutOfPatience(call, at));
  }

  private sendAgain(attempt: Attempt, problem: string, at: Instant, refusal?: ErrorBody): void {
    if (attempt.request.awaits(attempt)) this.core.pause(attempt.request, problem, at, refusal);
  }

  /** Ends a call with an error. What an earlier attempt may have done is unknown, whatever this one says. */
  private fail(call: OpenCall, error: ErrorBody, othersMayHave: boolean): void {
    const maybe = error.outcome === 'unknown' || othersMayHave;
    const outcome = maybe && !onlyAsks(call.call) ? 'unknown' : 'not_done';
    this.core.settle(call, { outcome, error: { ...error, outcome } });
  }
}

function doneResult(call: WriteCall, [, revision, changed, results = []]: DoneResult): unknown {
  switch (call.operation) {
    case 'put':
      return { revision };
    case 'delete':
      return { deleted: changed, revision };
    case 'cas':
      return { swapped: changed, revision };
    // These answer an id, a time, or a token in its place.
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
