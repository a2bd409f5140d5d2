/** The subjects on which replies must not be sent: peers do not execute requests with such a reply subject. */

/** A token that is empty or a wildcard, or white space. */
const notLiteral = /(?:^|\.)[*>]?(?:\.|$)|\s/;

/** Whether the subject names one place: no wildcards, no empty tokens, no white space. */
export function isLiteralSubject(subject: string): boolean {
  return !notLiteral.test(subject);
}

/** What is wrong with an inbox prefix, for people; undefined: nothing. @param prefix of Conclave's subjects */
export function inboxFault(inboxPrefix: string, prefix: string): string | undefined {
  if (!isLiteralSubject(inboxPrefix)) {
    return `${JSON.stringify(inboxPrefix)} is no inbox prefix: it has tokens joined by dots, without wildcards and spaces`;
  }
  const isOfConclave = `${inboxPrefix}.`.startsWith(`${prefix}.`);
  if (!isOfConclave && !inboxPrefix.startsWith('$')) return undefined;
  const whose = isOfConclave ? `Conclave's own (its prefix is ${prefix})` : "NATS's own";
  return `peers reply to no subjects that are ${whose}: choose another inbox prefix than ${inboxPrefix}`;
}
