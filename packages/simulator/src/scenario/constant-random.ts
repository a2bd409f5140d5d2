import { Random } from '../mesh/random.js';

/** Chance that is always the same: everything takes half of what it may take, and nothing unlikely happens. */
export class ConstantRandom extends Random {
  constructor() {
    super(0);
  }

  override next(): number {
    return 0.5;
  }

  override stream(): Random {
    return this;
  }
}
