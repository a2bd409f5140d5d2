/**
 * Messages that a scenario holds back, copies or drops: what the network may do at any time, done at a chosen time.
 *
 *     hold  slow  n1 -> n2 append_entries entries=yes    holds them back from now on, in order
 *     copy  late  n1.node -> n1.log-store append         delivers them, and keeps copies
 *     lose  n1 -> * append_entries                       drops them from now on
 *     release slow                                       delivers the held messages, and ends the rule
 *     drop slow                                          drops the held messages, and ends the rule
 *
 * Owns the rules and the held messages. Does not deliver them itself.
 */
import { batchHeader } from '@conclave/protocol';
import type { Pattern } from '../language/scenario-command.js';
import type { Passing } from '../mesh/message-router.js';

/** The source or the destination of a message. */
export interface Place {
  readonly peerId: string;
  readonly kind: string;
}

type Verb = 'hold' | 'copy' | 'lose';

interface Kept {
  readonly text: string;
  readonly deliver: () => void;
}

interface Rule {
  readonly verb: Verb;
  readonly pattern: Pattern;
  readonly kept: Kept[];
}

export class MessageFilter {
  private readonly rules = new Map<string, Rule>();

  /** Adds a rule that holds, copies or drops what matches, under a name. */
  begin(verb: Verb, name: string, pattern: Pattern): void {
    if (this.rules.has(name)) throw new Error(`${name} is taken: something is kept under it`);
    this.rules.set(name, { verb, pattern, kept: [] });
  }

  /** Whether an arriving message is delivered. */
  passes(from: Place, to: Place, message: Passing, deliver: () => void): boolean {
    for (const { verb, pattern, kept } of this.rules.values()) {
      if (!matches(pattern, from, to, message)) continue;
      if (verb !== 'lose') kept.push({ text: messageText(from, to, message), deliver });
      if (verb !== 'copy') return false;
    }
    return true;
  }

  /** Whether a message would not be delivered if it arrived now. */
  stops(from: Place, to: Place, message: Passing): boolean {
    return [...this.rules.values()].some(({ verb, pattern }) => verb !== 'copy' && matches(pattern, from, to, message));
  }

  /** Returns how many messages are held under this name. */
  count(name: string): number {
    return this.rule(name).kept.length;
  }

  /** Ends the rule, and returns the held messages. `newest`: only this many of the last ones. */
  end(name: string, newest?: number): { readonly verb: Verb; readonly kept: readonly Kept[] } {
    const { verb, kept } = this.rule(name);
    this.rules.delete(name);
    return { verb, kept: newest === undefined ? kept : kept.slice(-newest) };
  }

  private rule(name: string): Rule {
    const rule = this.rules.get(name);
    if (rule === undefined) throw new Error(`nothing is kept as ${name}`);
    return rule;
  }
}

function matches(pattern: Pattern, from: Place, to: Place, message: Passing): boolean {
  if (!isAt(pattern.from, from) || !isAt(pattern.to, to)) return false;
  const { name, body } = asPrinted(from, to, message);
  if (pattern.message !== '*' && pattern.message !== name) return false;
  return Object.entries(pattern.fields).every(([field, value]) => fieldOf(body, field) === value);
}

function isAt(where: string, { peerId, kind }: Place): boolean {
  return where === '*' || where === peerId || where === `${peerId}.${kind}`;
}

type Fields = Readonly<Record<string, unknown>>;

/** A leader's append on the feed is printed as the AppendEntries that it replaces. */
function asPrinted(from: Place, to: Place, message: Passing): { readonly name: string; readonly body: Fields } {
  if (message.name === 'feed.append' && from.peerId !== to.peerId) {
    const { leader_term: term, prev_term, batches } = message.body;
    const [first] = batches;
    const prev_index = first === undefined ? undefined : batchHeader(first).first - 1;
    return { name: 'append_entries', body: { term, prev_index, prev_term, batches } };
  }
  return { name: message.name.slice(message.name.indexOf('.') + 1), body: message.body };
}

function fieldOf(body: Fields, name: string): string {
  if (name === 'entries') return Array.isArray(body.batches) && body.batches.length > 0 ? 'yes' : 'no';
  return String(body[name]);
}

/** The fields of a body that are printed: no generated ids. */
const printedFields = [
  'kind',
  'granted',
  'term',
  'leader_term',
  'prev_index',
  'prev_term',
  'verified_index',
  'truncate_from',
  'match_index',
  'index',
  'reason',
  'refusal',
  'session',
];

/** `n2.log-store -> n1.ballot-box stored leader_term=2 match_index=5` */
export function messageText(from: Place, to: Place, message: Passing): string {
  const { name: shortName, body } = asPrinted(from, to, message);
  const fields = printedFields
    .filter((name) => name in body && body[name] !== '')
    .map((name) => `${name}=${body[name]}`);
  const entries = fieldOf(body, 'entries') === 'yes' ? ['with entries'] : [];
  const ends = `${from.peerId}.${from.kind} -> ${to.peerId}.${to.kind}`;
  return [ends, shortName, ...fields, ...entries].join(' ');
}
