import { asLogIndex, asPeerId, type ComparedStates } from '@conclave/protocol';
import { expect, test } from 'vitest';
import { checkExitCode, checkLines } from '../src/commands/check.js';
import { exitCodes } from '../src/exit-codes.js';

function compared(digests: readonly string[], unanswered: readonly string[], differing: readonly string[]) {
  return {
    index: asLogIndex(7),
    members: digests.map((digest, at) => ({ peer_id: asPeerId(`n${at + 1}`), digest })),
    unanswered: unanswered.map(asPeerId),
    differing: differing.map(asPeerId),
    has_majority: digests.length > 1,
  } as unknown as ComparedStates;
}

test('equal states end with 0, a member that differs with 1, and too few answers with 4', () => {
  const equal = compared(['aa', 'aa', 'aa'], [], []);
  expect([checkLines(equal).at(-1), checkExitCode(equal)]).toEqual(['no state differs, at index 7', exitCodes.done]);
  const other = compared(['aa', 'aa', 'bb'], [], ['n3']);
  expect(checkLines(other).slice(-2)).toEqual(['n3  bb  differs', 'n3 differs from the majority, at index 7']);
  expect(checkExitCode(other)).toBe(exitCodes.negative);
  const few = compared(['aa'], ['n2', 'n3'], []);
  expect(checkLines(few).slice(-2)).toEqual(['n3  did not answer', 'too few members have answered, at index 7']);
  expect(checkExitCode(few)).toBe(exitCodes.unreachable);
});
