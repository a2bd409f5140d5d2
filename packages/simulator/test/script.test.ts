import { describe, expect, test } from 'vitest';
import { formatScript, parseScript, randomPlan, ScriptError } from '../src/index.js';

describe('the command language', () => {
  test('parses a formatted plan back to the same plan', () => {
    for (let seed = 1; seed <= 50; seed++) {
      const plan = randomPlan(seed);
      expect(parseScript(formatScript(plan))).toEqual(plan);
    }
  });

  test.each([
    'peers n1 n2 n3',
    'peers n1 n2 n3 session=2000 wire=1',
    'network loss=0.05 repeat=0.02 delay=10 turn=2',
    'run 500',
    'run 500 until=heal',
    'run 500 until=elected',
    'crash n1 n2.node c1',
    'crash all',
    'start n1.log-store',
    'pause n1.node',
    'resume leader.node',
    'duplicate-node n1',
    'wipe n1',
    'wipe n1 if=spare',
    'skew n1.node rate=1.1 offset=200',
    'cut n1 n2 | n3 n4 n5',
    'cut n1 -> n2 n3',
    'cut n1.node -> n1.log-store',
    'cut s1 s2',
    'copy-disk n1',
    'restore-disk n1',
    'reconnect',
    'delay node.timeout_now ms=900',
    'slow n1 ms=300',
    'delay n1.log-store -> n1.node ms=300',
    'c1 grant x 3000',
    'c1 keep x',
    'c1 revoke x',
    'c1 put k v lease x',
    'reset-survivors now',
    'recreate n1 n2 n3',
    'reset-survivors alone now',
    'disk n1 delay=300',
    'disk n1 fail',
    'disk n1 free=10',
    'flip n1 chunk 2 if=spare',
    'snapshot n2',
    'flip n1 entry 5',
    'flip n1 meta if=spare',
    'corrupt n2 key',
    'corrupt n2 lock',
    'nats down s1',
    'nats up s1',
    'c1 put k a=b',
    'c1 get k',
    'c1 get k at n2',
    'c1 delete k',
    'c1 cas k last v',
    'c1 cas k 7 v',
    'c1 txn k o last v',
    'c1 txn k o 7 v',
    'watch',
    'watch k',
    'c1 lock l',
    'c1 unlock l',
    'bootstrap n1 n1 n2 n3 timeout=3000',
    'change n1 n4 n5',
    'add n4 timeout=200',
    'remove n3',
    'cancel',
    'transfer',
    'transfer n2',
    'wipe n1 if=held',
    'reset-survivors',
    'reset-survivors alone',
    'quiesce',
  ])('%s', (line) => {
    expect(formatScript(parseScript(line))).toBe(`${line}\n`);
  });

  test('ignores comments and empty lines', () => {
    expect(parseScript('# a story\n\npeers n1 # alone\n  run 5\n')).toEqual([
      { type: 'peers', peers: ['n1'] },
      { type: 'run', ms: 5 },
    ]);
  });

  test.each([
    ['dance', 'there is no command dance'],
    ['constructor', 'there is no command constructor'],
    ['put k v', 'only scenarios have this command'],
    ['status n1', 'only scenarios have this command'],
    ['run', 'expected milliseconds'],
    ['run soon', 'milliseconds: soon is no number'],
    ['run 5 6', '6 is not expected here'],
    ['network noise=1', 'noise is not expected here'],
    ['network loss=1 loss=2', 'loss is given twice'],
    ['cut n1 n2', 'expected two sides, or two servers'],
    ['cut n1 |', 'a side of the cut is empty'],
    ['cut n1 -> n2 -> n3', 'a one-way cut has two sides'],
    ['corrupt n2 soul', 'soul is none of key, lock'],
    ['nats sideways s1', 'sideways is neither up nor down'],
    ['flip n1 soul 3', 'soul is none of meta, entry, term, configuration, chunk'],
    ['wipe n1 if=bored', 'if=bored: expected spare or held'],
    ['c1 put k', 'expected a value'],
    ['c1 eat k', 'there is no operation eat'],
  ])('rejects %s', (line, why) => {
    expect(() => parseScript(`peers n1\n${line}`)).toThrow(new ScriptError(`line 2, "${line}": ${why}`));
  });
});
