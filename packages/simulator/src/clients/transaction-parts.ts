/** What a transaction of a run compares and does. */
import type { Part, Transaction } from '../linearizability/index.js';

/** As `ClientCommand` tells it. The values of the two keys are different ones. */
export function partsOf({
  key,
  other,
  value,
  expectedRevision,
}: {
  readonly key: string;
  readonly other: string;
  readonly value: string;
  readonly expectedRevision: number;
}): Pick<Transaction, 'compare' | 'then' | 'else'> {
  const then: Part[] = [
    ['put', key, value],
    ['put', other, `${value}o`],
    ['get', other],
  ];
  return {
    compare: [[key, expectedRevision]],
    then,
    else: [
      ['get', key],
      ['delete', other],
    ],
  };
}
