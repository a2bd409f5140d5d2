/** What a schema found wrong with a value, for the message of an error. */

/** The part of an issue of zod that is used here: which of these fields an issue has depends on its code. */
export interface SchemaIssue {
  readonly path: readonly PropertyKey[];
  readonly message: string;
  readonly code?: string | undefined;
  /** What the value is, of `too_small` and `too_big`: string, number, array, ... */
  readonly origin?: string;
  readonly minimum?: number | bigint;
  readonly maximum?: number | bigint;
  readonly expected?: string;
  readonly keys?: readonly string[];
  readonly values?: readonly unknown[];
  /** Of `invalid_union`: the issues of each of its schemas. */
  readonly errors?: readonly (readonly SchemaIssue[])[];
}

/** More would not fit on a line. */
const issuesShown = 3;

/** How the messages of zod begin. Other messages are those of the schema. */
const ownWords = /^(Too (small|big)|Invalid|Unrecognized)\b/;

const units: Record<string, string> = { string: 'characters', array: 'elements', set: 'elements', map: 'elements' };

/**
 * Returns the first issues on one line, each with the path of its field: `new_peers.0: must not be empty; timeout_ms: must be a number`.
 * @param whole the name of the value, for an issue that concerns all of it
 */
export function formatIssues(issues: readonly SchemaIssue[], whole = 'the request'): string {
  return issues
    .slice(0, issuesShown)
    .map(nearestIssue)
    .map((issue) => `${issue.path.length === 0 ? whole : issue.path.map(String).join('.')}: ${issueText(issue)}`)
    .join('; ');
}

/** Returns what is wrong in plain words, without the path. */
export function issueText(issue: SchemaIssue): string {
  const { message, code, origin = '', minimum, maximum, expected, keys = [], values = [] } = issue;
  if (!ownWords.test(message)) return message;
  switch (code) {
    case 'too_small':
      if (origin in units)
        return minimum === 1 ? 'must not be empty' : `must have at least ${minimum} ${units[origin]}`;
      return `must be at least ${minimum}`;
    case 'too_big':
      return origin in units ? `must have at most ${maximum} ${units[origin]}` : `must be at most ${maximum}`;
    case 'invalid_type':
      return message.endsWith('received undefined') ? 'is missing' : `must be ${named(expected ?? 'another type')}`;
    case 'unrecognized_keys':
      return `has no field ${keys.map((key) => JSON.stringify(key)).join(', ')}`;
    case 'invalid_value':
      return `must be ${values.map((value) => JSON.stringify(value)).join(' or ')}`;
    default:
      return message;
  }
}

/** Returns the issue itself; of a union that no schema accepts, the issue of the schema that is nearest to the value. */
function nearestIssue(issue: SchemaIssue): SchemaIssue {
  if (issue.code !== 'invalid_union' || !ownWords.test(issue.message)) return issue;
  const [nearest] = (issue.errors ?? []).filter(([first]) => first !== undefined).toSorted(byDistance);
  if (nearest?.[0] === undefined) return issue;
  return nearestIssue({ ...nearest[0], path: [...issue.path, ...nearest[0].path] });
}

/** First the schema with the fewest issues; of several, the one whose first issue comes last in the value. */
function byDistance(one: readonly SchemaIssue[], other: readonly SchemaIssue[]): number {
  return one.length - other.length || place(other) - place(one);
}

function place([first]: readonly SchemaIssue[]): number {
  const [step] = first?.path ?? [];
  return step === undefined ? -1 : typeof step === 'number' ? step : 0;
}

function named(type: string): string {
  if (type === 'int') return 'a whole number';
  if (type === 'tuple') return 'an array';
  if (type === 'record') return 'an object';
  if (type === 'null' || type === 'nan') return type;
  return `${/^[aeiou]/.test(type) ? 'an' : 'a'} ${type}`;
}
