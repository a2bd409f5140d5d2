// What docs/subjects.md promises, and what the tests of this run have seen answered: every command, every operation,
// every error code. It runs behind all other tests and looks at nothing but what they noted.
import * as protocol from '@conclave/protocol';
import { describe, expect, it } from 'vitest';
import { recorded } from '../support/contract-folder.js';

const seen = recorded();

it('the contract is compared in a whole run of the tests (npm test)', () => {
  expect(seen.size).toBeGreaterThan(0);
});

describe('answered in a test', () => {
  const commands = Object.entries(protocol.adminCommands).flatMap(([name, { answeredBy }]) =>
    answeredBy.map((who) => `${who} admin.${name}`),
  );
  it.each(commands)('%s', (word) => expect(seen).toContain(word));

  const onHosts = Object.keys(protocol.hostCommands).map((name) => `host admin.${name}`);
  it.each(onHosts)('%s', (word) => expect(seen).toContain(word));

  const onProcesses = Object.keys(protocol.processCommands).map((name) => `host admin.${name}`);
  it.each(onProcesses)('%s', (word) => expect(seen).toContain(word));

  const operations = Object.keys(protocol.kvOperations).map((name) => `group kv.${name}`);
  it.each(operations)('%s', (word) => expect(seen).toContain(word));

  // A program that is not logged in gets no reply: programs that connect report this themselves.
  const saidByOneself = ['ELOGIN'];
  const answered = Object.keys(protocol.errorCodes).filter((code) => !saidByOneself.includes(code));
  const codes = answered.map((code) => `code ${code}`);
  it.each(codes)('%s', (word) => expect(seen).toContain(word));
});
