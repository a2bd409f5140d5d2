/**
 * A URL with a password or token may be given as an argument, which all users of the machine can see in the list of processes:
 * the process takes another title then, which the list shows instead.
 */
export function hideSecrets(words: readonly string[] = process.argv): void {
  const title = words.join(' ');
  const shown = withoutSecrets(title);
  if (shown !== title) process.title = shown;
}

/** The text with `***` for what stands before the `@` of a URL. */
export function withoutSecrets(text: string): string {
  return text.replaceAll(/([a-z][a-z0-9+.-]*:\/\/)[^\s@,]+@|(^|[\s,=])[^\s@,/]+:[^\s@,]+@/gi, '$1$2***@');
}
