import { asGroupId, asPeerId } from '@conclave/protocol';
import { expect, it } from 'vitest';
import { ActorLog, processLog } from '../src/actor-log.js';

it('a line has each key once, and its own fields replace those of all lines', () => {
  const lines: string[] = [];
  const log = processLog('info', { peer: 'n1', actors: 'node' }, { write: (line) => lines.push(line.trimEnd()) });
  const actor = new ActorLog(log, { groupId: asGroupId('main'), peerId: asPeerId('n1'), actor: 'node' });
  log.write('info', 'ready');
  actor.write('warn', 'slow', { term: 7 });
  log.write('error', 'another', { peer: 'n2' });
  actor.write('debug', 'not said');
  const parsed = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(parsed).toMatchObject([
    { level: 30, pid: process.pid, peer: 'n1', actors: 'node', msg: 'ready' },
    { level: 40, peer: 'n1', actors: 'node', group: 'main', actor: 'node', term: 7, session: 0, msg: 'slow' },
    { level: 50, peer: 'n2', actors: 'node', msg: 'another' },
  ]);
  // Of keys that are there twice JSON.parse keeps one.
  expect(parsed.map((line) => JSON.stringify(line))).toEqual(lines);
});
