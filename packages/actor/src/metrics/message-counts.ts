/** Counts messages by name: recording one allocates nothing. */
import { type MessageName, messages } from '@conclave/protocol';
import { isMeasuring } from './measuring.js';

const names = Object.keys(messages) as MessageName[];
const places = new Map(names.map((name, place) => [name, place]));

/** Amounts by the name of a message: how many there were, or how many bytes they had. */
export class MessageCounts {
  private readonly amounts = new Float64Array(names.length);

  add(name: MessageName, amount = 1): void {
    if (!isMeasuring) return;
    const place = places.get(name) as number;
    this.amounts[place] = (this.amounts[place] as number) + amount;
  }

  /** The names with an amount above 0. */
  entries(): [MessageName, number][] {
    return names.flatMap((name, place): [MessageName, number][] => {
      const amount = this.amounts[place] as number;
      return amount > 0 ? [[name, amount]] : [];
    });
  }
}
