import { type Command, type Comparison, encode, type Operation } from '@conclave/protocol';
import type { KvEntry } from '../src/index.js';

/** Draws the entries of a busy group: a few keys, leases, locks and sessions, so that they meet. */
export class RandomEntries {
  private readonly clients: { readonly id: number; sequence: number; acknowledged: number }[] = [];
  private revision = 0;

  constructor(private readonly below: (bound: number) => number) {}

  /** @param index of the entry: a session that it opens has that name. */
  next(index: number): KvEntry {
    const kind = this.below(60);
    if (kind === 0) return this.openSession(index);
    if (kind === 1) return this.expiry(index);
    const client = this.clients[this.below(this.clients.length + 2)];
    const commands = Array.from({ length: 1 + this.below(5) }, () => this.command(this.sequenceOf(client)));
    if (client === undefined) return { commands };
    if (this.below(4) === 0) client.acknowledged += this.below(client.sequence - client.acknowledged + 1);
    return { client_id: client.id, acknowledged: client.acknowledged, commands };
  }

  private openSession(index: number): KvEntry {
    if (this.clients.length === 6) this.clients.shift();
    this.clients.push({ id: index, sequence: 0, acknowledged: 0 });
    return { open_session: true };
  }

  private expiry(index: number): KvEntry {
    const recent = (): [number, number] => [1 + this.below(20), Math.max(1, index - this.below(40))];
    const client = this.clients[0]?.id ?? 1;
    return { expire: [[client, client]], expire_leases: [recent(), recent(), recent()] };
  }

  /** Mostly the next number, now and then one from before. */
  private sequenceOf(client: { sequence: number } | undefined): number {
    if (client === undefined) return 0;
    if (client.sequence > 0 && this.below(6) === 0) return 1 + this.below(client.sequence);
    client.sequence += 1 + (this.below(8) === 0 ? 2 : 0);
    return client.sequence;
  }

  private command(sequence: number): Command {
    this.revision += 1;
    switch (this.below(14)) {
      case 0:
      case 1:
      case 2:
        return [sequence, 'put', this.key(), this.value()];
      case 3:
      case 4:
        return [sequence, 'put', this.key(), this.value(), this.leaseId()];
      case 5:
      case 6:
        return [sequence, 'delete', this.key()];
      case 7:
        return [sequence, 'cas', this.key(), this.value(), this.below(3) * this.below(this.revision)];
      case 8:
        return [sequence, 'txn', this.comparisons(), this.operations(), this.operations()];
      case 9:
        return [sequence, 'lease_grant', 1000 + this.below(5000)];
      case 10:
        return [sequence, this.below(4) === 0 ? 'lease_revoke' : 'lease_keep', this.leaseId()];
      case 11:
      case 12:
        return [sequence, 'lock', this.name(), `owner ${this.below(4)}`, this.leaseId(), this.below(3) > 0];
      default:
        return [sequence, 'unlock', this.name(), 1 + this.below(this.revision)];
    }
  }

  private comparisons(): Comparison[] {
    if (this.below(2) === 0) return [];
    return [
      [this.key(), 'revision', this.below(2) === 0 ? '>' : '=', this.below(3)],
      [this.name(), 'lock', '!=', this.below(this.revision)],
    ];
  }

  private operations(): Operation[] {
    return Array.from({ length: this.below(4) }, (): Operation => {
      const kind = this.below(4);
      if (kind === 0) return ['delete', this.key()];
      return kind === 1 ? ['put', this.key(), this.value()] : ['get', this.key()];
    });
  }

  /** Some with characters beyond U+FFFF, whose order is another. */
  private key(): string {
    const number = this.below(400);
    return number % 50 === 0 ? `\u{1f600}${number}` : number % 50 === 1 ? `\uffee${number}` : `key ${number}`;
  }

  private name(): string {
    return `lock ${this.below(8)}`;
  }

  private leaseId(): number {
    return 1 + this.below(20);
  }

  private value(): string | Uint8Array {
    const length = this.below(5) === 0 ? this.below(3000) : this.below(40);
    return this.below(2) === 0 ? 'v'.repeat(length) : new Uint8Array(length).fill(this.below(256));
  }
}

/** As it is in the log. */
export function payloadOfEntry(entry: KvEntry): Uint8Array {
  return encode(entry);
}
