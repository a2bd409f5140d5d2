/** Keeps secrets in URLs of NATS servers, and in ids of leases, out of the list of processes and out of what the command prints. */

/**
 * All users of a machine can see the arguments of its processes. If there is a secret among them, the process changes its
 * title, which the list shows instead. Call this before everything else.
 */
export function hideSecrets(words: readonly string[] = process.argv): void {
  const shown = argumentsWithoutSecrets(words);
  if (shown.some((word, at) => word !== words[at])) process.title = shown.join(' ');
}

/** Arguments, with `***` for the secrets. */
export function argumentsWithoutSecrets(words: readonly string[]): readonly string[] {
  return words.map((word, at) => {
    if (words[at - 1] === '--nats') return serversWithoutSecrets(word);
    const [, option, servers] = /^(--nats=)(.*)$/s.exec(word) ?? [];
    if (option !== undefined) return `${option}${serversWithoutSecrets(servers ?? '')}`;
    return withoutSecrets(word).replace(leaseSecret, '$1***');
  });
}

/** A list of servers, with `***` for everything before the last `@`: a secret may contain any character. */
export function serversWithoutSecrets(servers: string): string {
  return servers.replace(/^.*@/s, '***@');
}

/** A text, with `***` for what looks like the secret of a URL, with or without its scheme. */
export function withoutSecrets(text: string): string {
  if (!text.includes('@')) return text;
  // Word by word, up to its last `@`: what is searched then ends with one, and a search takes no time that grows with the square of
  // the length. Values of keys are arguments, too, and may be long.
  return text
    .split(/(\s+)/)
    .map((word) => {
      const end = word.lastIndexOf('@') + 1;
      return word.slice(0, end).replaceAll(secret, '$1$2***@') + word.slice(end);
    })
    .join('');
}

/** The secret part of a lease's id. */
const leaseSecret = /^((?:--lease=)?[1-9]\d{0,15}\.)[\w-]{22}$/;

const secret = /([a-z][a-z0-9+.-]{0,31}:\/\/)\S*@|(^|[,='"])[^@,/'"=]+:(?!\/\/)[^@]+@/gi;
