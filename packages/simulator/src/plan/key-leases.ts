/**
 * Leases of keys: clients grant them, attach keys to them, keep them or let them end, revoke them. This has its own
 * random stream: apart from the time that passes, the rest of a seed's plan does not depend on it.
 */
import { clients } from './client-calls.js';
import { leader, type PlanContext } from './fault-sequences.js';

const names = ['x', 'y'];
/** Keys that are used only with leases, and one that all share. */
const keys = ['t', 't', 'u', 'u', 'a'];

export class KeyLeases {
  private readonly isOn: boolean;
  private readonly often: number;
  private values = 0;

  /** @param context its `random` is the stream of these calls alone */
  constructor(private readonly stage: PlanContext) {
    const { random } = stage;
    this.isOn = random.chance(0.5);
    this.often = 0.05 + 0.15 * random.next();
  }

  /** Adds one more of these calls now and then. */
  step(): void {
    const { random } = this.stage;
    if (this.isOn && random.chance(this.often)) this.act();
  }

  private act(): void {
    const { random } = this.stage;
    const client = random.pick(clients);
    const name = random.pick(names);
    const dice = random.next();
    if (dice < 0.25) this.grantAndTie(client, name, 1000 + random.below(8000));
    else if (dice < 0.35) this.keepInTime(client, name);
    else if (dice < 0.4) this.keepBesideAnEnd(client, name);
    else if (dice < 0.6) this.call(client, 'keep', name);
    else if (dice < 0.75) this.tie(client, name);
    else if (dice < 0.8) this.call(client, 'revoke', name);
    else if (dice < 0.85) this.untie(client);
    else this.read();
  }

  private call(client: string, operation: 'keep' | 'revoke', key: string): void {
    this.stage.add({ type: 'client', client, operation, key });
  }

  private grantAndTie(client: string, name: string, ttl: number): void {
    const { random, add } = this.stage;
    add({ type: 'client', client, operation: 'grant', key: name, ttl });
    for (let ties = 1 + random.below(2); ties > 0; ties--) this.tie(client, name);
  }

  private tie(client: string, lease: string): void {
    this.values += 1;
    const key = this.stage.random.pick(keys);
    this.stage.add({ type: 'client', client, operation: 'put', key, value: `l${this.values}`, lease });
  }

  /** By a write that names no lease, or by a deletion. */
  private untie(client: string): void {
    const { random, add } = this.stage;
    this.values += 1;
    const key = random.pick(keys);
    if (random.chance(0.5)) add({ type: 'client', client, operation: 'put', key, value: `l${this.values}` });
    else add({ type: 'client', client, operation: 'delete', key });
  }

  private read(): void {
    const { random, add } = this.stage;
    add({ type: 'client', client: random.pick(clients), operation: 'get', key: random.pick(keys) });
  }

  /** Keeps a lease for longer than its time; often while another peer is elected. Then it is left alone until it has ended. */
  private keepInTime(client: string, name: string): void {
    const { random, add, run } = this.stage;
    const ttl = 1200 + random.below(1500);
    this.grantAndTie(client, name, ttl);
    const change = random.below(8);
    for (let keeps = 0; keeps < 5; keeps++) {
      run(ttl / 3);
      this.call(client, 'keep', name);
      if (keeps === change) add({ type: 'transfer' });
      else if (keeps + 3 === change) add({ type: 'crash', targets: [`${leader}.node`] });
      else if (keeps === 1) add({ type: 'start', targets: ['all'] });
    }
    this.read();
    run(ttl * (0.8 + random.next()));
    this.read();
    this.call(client, random.chance(0.5) ? 'keep' : 'revoke', name);
    this.read();
  }

  /** Keeps that arrive when the time is over, some before and some after the entry that ends the lease. */
  private keepBesideAnEnd(client: string, name: string): void {
    const { random, run } = this.stage;
    this.grantAndTie(client, name, 1000);
    run(900 + 200 * random.next());
    for (let keeps = 0; keeps < 6; keeps++) {
      this.call(client, 'keep', name);
      run(60 * random.next());
    }
    this.tie(client, name);
    this.read();
  }
}
