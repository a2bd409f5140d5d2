/**
 * Subscribes to requests, for nodes, log-store processes, health and service discovery.
 *
 * Invariant: a reply goes to an inbox. A request that names one of Conclave's own subjects for its reply, or one of NATS's
 * (`$`), is dropped and counted, and not executed: its sender would publish there with this process's permissions. So is one whose
 * reply subject has wildcards or empty tokens, on which nobody can receive a reply.
 */
import type { Subjects } from '@conclave/protocol';
import { isLiteralSubject } from '@conclave/protocol/login';
import type { Msg } from 'nats';
import type { Connection } from './nats-connection.js';
import type { RetryingSubscription } from './retrying-subscription.js';

/** Replies through a NATS gateway have `_GR_.<cluster>.<server>.` before the subject. */
const throughGateway = /^_GR_\.[^.]*\.[^.]*\./;

/** A reply subject as it was before a gateway. */
export function withoutGateway(subject: string): string {
  let inbox = subject;
  while (throughGateway.test(inbox)) inbox = inbox.replace(throughGateway, '');
  return inbox;
}

/** Whether replies may be published there. */
export function isInbox(subject: string, prefix: string): boolean {
  const inbox = withoutGateway(subject);
  const isOfOthers = inbox.startsWith('$') || inbox.startsWith(`${prefix}.`) || inbox === prefix;
  return !isOfOthers && isLiteralSubject(inbox);
}

/** Subscribes to requests. `onRequest` gets only those without a reply subject, or with an inbox as one. */
export function serveRequests(
  connection: Connection,
  { prefix }: Subjects,
  subject: string,
  onRequest: (request: Msg) => void,
): RetryingSubscription {
  return connection.subscribe(subject, (request) => {
    if (request.reply && !isInbox(request.reply, prefix)) connection.count('reply_to_no_inbox');
    else onRequest(request);
  });
}
