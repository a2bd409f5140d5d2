import type { Service } from '@conclave/actor/core';
import { type AdminCommand, adminCommands, ConclaveError } from '@conclave/protocol';
import { describe, expect, it } from 'vitest';
import { type DecodedRequest, isReadOnly, parseRequest } from '../../src/requests/parse-request.js';

const history = 'history-1' as never;
const context = { level: 0, generateId: () => 'id', leaderId: 'n2' };
const done = { type: 'event' } as never;

const service: Service = {
  reads: (operation) => operation === 'read',
  parse: (operation, body) => {
    const groupUid = history;
    switch (operation) {
      case 'read':
        return {
          type: 'read',
          consistency: undefined,
          query: body,
          groupUid,
          reply: (result, { isStale }) => [result, isStale],
        };
      case 'watch':
        return { type: 'watch', watchId: 'w', selector: 'a', from: 3, groupUid, reply: ({ after }) => after };
      case 'unwatch':
        return { type: 'unwatch', watchId: 'w', groupUid, reply: ({ closed }) => closed };
      case 'write':
        return {
          type: 'write',
          payload: new Uint8Array(1),
          command: body,
          version: 2,
          groupUid,
          reply: (result) => result,
          events: () => [done],
        };
      default:
        throw new ConclaveError('ENOENT', 'no such operation');
    }
  },
};

function parse(request: Partial<DecodedRequest>) {
  return parseRequest(
    { addressee: 'group', api: 'kv', name: 'write', encoding: 'json', body: {}, ...request },
    service,
    context,
  );
}

function errorOf(request: Partial<DecodedRequest>) {
  try {
    parse(request);
    return undefined;
  } catch (error) {
    return (error as ConclaveError).toBody();
  }
}

describe('parsing a request to a node', () => {
  it('makes a proposal of a write, with its version and its history', () => {
    const { input, writes, events } = parse({ body: 'x' });
    const payload = new Uint8Array(1);
    expect(input(7)).toEqual({ type: 'propose', requestId: 7, payload, command: 'x', version: 2, groupUid: history });
    expect(writes).toBe(true);
    expect(events?.('done')).toEqual([done]);
  });

  it('makes a read linearizable if it is addressed to the group, and stale if it is addressed to a peer', () => {
    const ofGroup = parse({ name: 'read', body: 'q' });
    expect(ofGroup.input(1)).toMatchObject({
      type: 'read',
      consistency: 'linearizable',
      addressee: 'group',
      query: 'q',
    });
    expect(ofGroup.reply('r', { groupUid: history })).toEqual(['r', false]);
    const ofPeer = parse({ name: 'read', addressee: 'peer' });
    expect(ofPeer.input(1)).toMatchObject({ consistency: 'stale', addressee: 'peer' });
    expect(ofPeer.reply('r', { groupUid: history })).toEqual(['r', true]);
    expect(ofPeer.writes).toBe(false);
  });

  it('keeps the encoding of a request for a watch, in which its changes are published', () => {
    expect(parse({ name: 'watch' }).input(1)).toMatchObject({ type: 'watch', watchId: 'w', from: 3, encoding: 'json' });
    expect(parse({ name: 'unwatch' }).input(1)).toEqual({
      type: 'unwatch',
      requestId: 1,
      watchId: 'w',
      groupUid: history,
    });
  });

  it('refuses writes and watches that are addressed to a peer, and names the leader', () => {
    for (const name of ['write', 'watch', 'unwatch']) {
      const error = errorOf({ name, addressee: 'peer' });
      expect(error).toMatchObject({ code: 'EPERM', outcome: 'not_done', leader_id: 'n2' });
    }
  });

  it('refuses unknown commands, commands on the wrong subject, and bodies that the schema refuses', () => {
    const admin = { api: 'admin' } as const;
    expect(errorOf({ ...admin, name: 'constructor' })?.code).toBe('ENOENT');
    expect(errorOf({ ...admin, name: 'bootstrap' })?.message).toBe('bootstrap is a command on <group>.<peer>.admin');
    expect(errorOf({ ...admin, name: 'add_peer', body: { peer_id: 7 } })?.message).toMatch(/^peer_id: /);
    expect(errorOf({ ...admin, name: 'add_peer', body: [] })?.message).toMatch(/^the request: /);
  });

  // A new command does not compile without its row here.
  const bodies: Readonly<Record<AdminCommand, object>> = {
    add_peer: { peer_id: 'n4' },
    remove_peer: { peer_id: 'n3' },
    change_peers: { new_peers: ['n1'] },
    cancel_change: {},
    transfer_leader: {},
    upgrade: { raise: true },
    status: {},
    bootstrap: { peers: ['n1'] },
    read_only: { read_only: true },
    reset_peer: { new_peers: ['n1'] },
    check: {},
    get_leader: {},
    read_snapshot: { number: 0 },
    restore_chunk: { restore_id: 'a', number: 0, chunk: new Uint8Array(1) },
    snapshot: {},
  };
  const changingNothing = ['status', 'check', 'get_leader', 'read_snapshot'];

  it.each(Object.entries(bodies))('audits %s if it changes something, and no chunk of a restore', (name, body) => {
    const [addressee = 'group'] = adminCommands[name as AdminCommand].answeredBy;
    const { writes, audited } = parse({ api: 'admin', addressee, name, body });
    expect(writes).toBe(!changingNothing.includes(name));
    expect(audited).toBe(writes && name !== 'restore_chunk' ? name : undefined);
  });

  it('knows by its name alone whether a request changes nothing', () => {
    expect(isReadOnly('admin', 'status', service)).toBe(true);
    expect(isReadOnly('admin', 'add_peer', service)).toBe(false);
    expect(isReadOnly('kv', 'read', service)).toBe(true);
    expect(isReadOnly('kv', 'write', service)).toBe(false);
  });
});
