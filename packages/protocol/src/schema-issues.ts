/** What a schema found wrong with a value, for the message of an error. */

export interface SchemaIssue {
  readonly path: readonly PropertyKey[];
  readonly message: string;
}

/** More would not fit on a line. */
const issuesShown = 3;

/**
 * Returns the first issues on one line, each with the path of its field: `new_peers.0: too long; timeout_ms: not a number`.
 * @param whole the name of the value, for an issue that concerns all of it
 */
export function formatIssues(issues: readonly SchemaIssue[], whole = 'the request'): string {
  return issues
    .slice(0, issuesShown)
    .map(({ path, message }) => `${path.length === 0 ? whole : path.map(String).join('.')}: ${message}`)
    .join('; ');
}
