/** Where replies may not go: peers do not execute requests whose replies would go there. */

/** What is wrong with an inbox prefix, for people; undefined: nothing. @param prefix of Conclave's subjects */
export function inboxFault(inboxPrefix: string, prefix: string): string | undefined {
  const isOfConclave = `${inboxPrefix}.`.startsWith(`${prefix}.`);
  if (!isOfConclave && !inboxPrefix.startsWith('$')) return undefined;
  const whose = isOfConclave ? `Conclave's own (its prefix is ${prefix})` : "NATS's own";
  return `peers reply to no subjects that are ${whose}: choose another inbox prefix than ${inboxPrefix}`;
}
