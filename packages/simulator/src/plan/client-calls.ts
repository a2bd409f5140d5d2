/**
 * The calls of clients in a plan: writes and reads of a few shared keys, transactions, locks.
 *
 * Owns the values; each is written once. How clients read, and what else they do, has random streams of its own.
 */

import type { Command } from '../language/command.js';
import type { Random } from '../mesh/random.js';

export const clients = ['c1', 'c2', 'c3'];
const sharedKeys = ['a', 'b'];
const lockNames = ['l', 'm'];

export interface CallChances {
  /** The stream for how clients read. */
  readonly reading: Random;
  /** The stream for what else clients do. */
  readonly using: Random;
  /** Whether clocks keep their bound, so that reads by lease are allowed. */
  readonly hasBoundedClocks: boolean;
}

export class ClientCalls {
  private values = 0;
  private burstValues = 0;
  /** With locks, not every revision has a known writer: these runs detect fewer duplicated writes. */
  private readonly usesLocks: boolean;

  /** @param commands to add to */
  constructor(
    private readonly commands: Command[],
    private readonly peers: readonly string[],
    private readonly chances: CallChances,
  ) {
    this.usesLocks = chances.using.chance(0.35);
  }

  /** Adds some calls. */
  add(random: Random): void {
    for (let calls = 1 + random.below(3); calls > 0; calls--) {
      this.commands.push(this.call(random.pick(clients), random));
      // It replaces the last call, so that all other random values stay the same.
      if (this.chances.using.chance(0.2)) this.commands[this.commands.length - 1] = this.otherCall();
    }
  }

  private call(client: string, random: Random): Command {
    this.values += 1;
    const value = `v${this.values}`;
    const key = random.chance(0.7) ? random.pick(sharedKeys) : `k${this.values}`;
    const dice = random.next();
    if (dice < 0.4) return { type: 'client', client, operation: 'put', key, value };
    if (dice < 0.67) return this.read(client, random.pick(sharedKeys));
    if (dice < 0.7) {
      const at = random.pick(this.peers);
      return this.read(client, random.pick(sharedKeys), at);
    }
    const shared = random.pick(sharedKeys);
    if (dice < 0.8) return { type: 'client', client, operation: 'delete', key: shared };
    return { type: 'client', client, operation: 'cas', key: shared, revision: 'last', value };
  }

  /** A read of a burst, on the subject of the peer `at` or of the group: linearizable, mostly by a quorum. */
  readIn(random: Random, client: string, at: string | undefined): Command {
    const by = this.chances.hasBoundedClocks && random.chance(0.25) ? 'lease' : 'quorum';
    const where = at === undefined ? (by === 'lease' ? { by } : {}) : { at, by };
    return { type: 'client', client, operation: 'get', key: random.pick(sharedKeys), ...where } as Command;
  }

  /** A write of a burst. */
  writeIn(random: Random, client: string): Command {
    this.burstValues += 1;
    return { type: 'client', client, operation: 'put', key: random.pick(sharedKeys), value: `b${this.burstValues}` };
  }

  private otherCall(): Command {
    const { using } = this.chances;
    const call = { type: 'client', client: using.pick(clients) } as const;
    if (this.usesLocks && using.chance(0.6)) {
      const operation = using.chance(0.6) ? 'lock' : 'unlock';
      return { ...call, operation, key: using.pick(lockNames) };
    }
    const [key = '', other = ''] = using.chance(0.5) ? sharedKeys : sharedKeys.toReversed();
    const revision = using.chance(0.2) ? 0 : 'last';
    return { ...call, operation: 'txn', key, other, revision, value: `t${this.values}` };
  }

  /** Picks any kind of read that the plan allows: by lease only if clocks keep their bound. */
  private read(client: string, key: string, stale?: string): Command {
    const { reading, hasBoundedClocks } = this.chances;
    const asksPeer = reading.chance(0.3);
    const at = stale ?? (asksPeer ? reading.pick(this.peers) : undefined);
    const sure = hasBoundedClocks && reading.chance(0.5) ? 'lease' : 'quorum';
    const by = stale === undefined && (asksPeer || sure === 'lease') ? { by: sure } : {};
    return { type: 'client', client, operation: 'get', key, ...(at === undefined ? {} : { at }), ...by } as Command;
  }
}
