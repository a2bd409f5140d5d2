import { describe, expect, it } from 'vitest';
import { checkHealth, readQuery } from '../src/health-check.js';

/** As in a container of docker-compose.yml. */
const container = { CONCLAVE_PEER: 'n1', CONCLAVE_ACTORS: 'node', NATS_URL: 'nats://nats1:4222' };
const all = ['node', 'replicator', 'ballot-box', 'log-store'];

describe('conclave health in a container', () => {
  it.each([
    [[], 'n1', ['node']],
    [['--peer', 'n2'], 'n2', all],
    [['--peer', 'n1'], 'n1', all],
    [['--peer', 'n2', '--actors', 'log-store'], 'n2', ['log-store']],
    [['--all-peers'], 'n1', all],
  ])('with %j means these actors', (words, peer, actors) => {
    expect(readQuery(words, container)).toMatchObject({ peer, actors });
  });

  it.each([[['--help']], [['--al-peers']], [['--peer']], [['--peer', 'n 2']]])(
    'leaves %j to the whole command',
    (words) => {
      expect(readQuery(words, container)).toBeUndefined();
    },
  );
});

it('conclave health without a NATS server reports that', async () => {
  const asked = readQuery(['--peer', 'n1', '--nats', 'nats://127.0.0.1:1'], {});
  if (asked === undefined) throw new Error('it takes the whole command');
  expect(await checkHealth(asked)).toMatchObject({
    healthy: false,
    problem: 'EUNREACHABLE: no NATS server at nats://127.0.0.1:1: connection refused',
    actors: [],
  });
});
