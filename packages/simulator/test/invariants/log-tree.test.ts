import { asLogIndex, asTerm, type Configuration, encodeConfigurationBatch } from '@conclave/protocol';
import { expect, test } from 'vitest';
import { LogTree } from '../../src/invariants/record/log-tree.js';

function configurationOf(...names: string[]): Configuration {
  const peers = names.map((name) => ({ peer_id: name, store_id: `${name}.store` }));
  return { peers, old_peers: [] } as unknown as Configuration;
}

test('a log that begins with a backup uses the configuration of its snapshot, also after a reset', () => {
  const lost = new LogTree();
  const first = encodeConfigurationBatch(asTerm(1), asLogIndex(1), configurationOf('n1', 'n2', 'n3'));
  const [last] = lost.follow('lost', undefined, first);
  if (last === undefined) throw new Error('there is an entry');
  const tree = new LogTree();
  tree.restore('restored', last, configurationOf('n2'));
  const restored = tree.find('restored', 1, 1);
  expect(restored?.effective).toMatchObject({ configuration: configurationOf('n2'), before: undefined });
  expect(restored?.effective?.entry).toBe(restored);
  const afterReset = tree.continueHistory('reset', restored);
  expect(afterReset?.groupUid).toBe('reset');
  expect(afterReset?.effective?.configuration).toEqual(configurationOf('n2'));
  // The log from which the backup was read has not changed.
  expect(last.effective?.configuration).toEqual(configurationOf('n1', 'n2', 'n3'));
});
