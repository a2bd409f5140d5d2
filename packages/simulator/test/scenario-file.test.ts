import { describe, expect, test } from 'vitest';
import { parseCommand } from '../src/language/parse-command.js';
import { formatScenario, headOf, parseScenario, ScenarioOutput } from '../src/scenario/scenario-file.js';
import { ScenarioRun } from '../src/scenario/scenario-run.js';

const text = `# A story (promise 1).

# A comment alone.

# Why.
run 5
put a 1
----
said
twice
`;

describe('a scenario file', () => {
  test('is parsed and formatted back to the same text', () => {
    const blocks = parseScenario(text);
    expect(blocks.map(({ commands }) => commands)).toEqual([
      [],
      [],
      [
        { text: 'run 5', line: 6 },
        { text: 'put a 1', line: 7 },
      ],
    ]);
    expect(blocks[2]?.expected).toEqual(['said', 'twice']);
    expect(formatScenario(blocks, [['said', 'twice']])).toBe(text);
    expect(headOf(text)).toBe('A story (promise 1).');
  });

  test('has no output for a block without commands', () => {
    expect(() => parseScenario('# alone\n----\nsaid\n')).toThrow('line 2: output without commands');
  });
});

describe('the scenario command', () => {
  test.each([
    ['until n2 commit 5 within=100', { type: 'until', within: 100 }],
    [
      'await change n1 n2 timeout=3000 within=100',
      { type: 'await', within: 100, what: { peers: ['n1', 'n2'], timeout: 3000 } },
    ],
    ['ask n2 get a', { type: 'ask', peer: 'n2', what: { operation: 'get', key: 'a' } }],
    [
      'hold x n1 -> n2.node stored leader_term=2',
      { type: 'hold', pattern: { to: 'n2.node', fields: { leader_term: '2' } } },
    ],
    ['group n1 n2 | n3', { type: 'group', peers: ['n1', 'n2'], spare: ['n3'] }],
    ['given n1 terms=1,1,4 vote=n2', { type: 'given', terms: [1, 1, 4], term: 4, vote: 'n2', commit: 1 }],
    ['crash n1.node', { type: 'crash', targets: ['n1.node'] }],
  ])('%s is parsed', (line, command) => {
    expect(parseCommand(line)).toMatchObject(command);
  });

  test.each([
    'until n2 asleep',
    'until leader n2 n3',
    'hold x n1 n2 stored',
    'timeouts n1=3000',
    'show no_event',
    'jump',
    'put a',
    'ask n2',
    'ask n2 c1 get a',
    'await run 500',
  ])('%s is rejected', (line) => {
    expect(() => parseCommand(line)).toThrow();
  });
});

test('output that several peers have in common is merged into the line of the first', () => {
  const output = new ScenarioOutput();
  output.printFor('n2', 'yes');
  output.printFor('n1', 'no');
  output.printFor('n1', 'yes');
  output.printFor('n1', 'yes');
  output.print('a line of its own');
  output.printFor('n3', 'yes');
  expect(output.flush()).toEqual(['n1 n2: yes', 'n1: no', 'n1: yes', 'a line of its own', 'n3: yes']);
});

test('the error of a command names its line, and the output before it', () => {
  const [block] = parseScenario('group n1 n2 n3\ncrash n1\nuntil leader n1 within=3000\n');
  if (block === undefined) throw new Error('there is a block');
  expect(() => new ScenarioRun().runBlock(block)).toThrow(
    /^line 3, until leader n1 within=3000: not within 3000 ms\n {2}n2: leads term 3/,
  );
});
