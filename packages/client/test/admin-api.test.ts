import { type AdminCommand, adminCommands } from '@conclave/protocol';
import { expect, it } from 'vitest';
import { AdminApi } from '../src/admin-api.js';
import type { Call } from '../src/core/index.js';

type Run = (api: AdminApi) => Promise<unknown>;

it.each<[AdminCommand, Run, unknown, string | undefined]>([
  ['add_peer', (api) => api.addPeer('n4', { leaderId: 'n1' }), { peer_id: 'n4', leader_id: 'n1' }, undefined],
  ['remove_peer', (api) => api.removePeer('n3'), { peer_id: 'n3' }, undefined],
  [
    'change_peers',
    (api) => api.changePeers(['n1'], { catchupTimeoutMs: 5 }),
    { new_peers: ['n1'], timeout_ms: 5 },
    undefined,
  ],
  ['cancel_change', (api) => api.cancelChange(), {}, undefined],
  ['transfer_leader', (api) => api.transferLeader(), {}, undefined],
  ['transfer_leader', (api) => api.transferLeader('n2'), { peer_id: 'n2' }, undefined],
  ['status', (api) => api.status({ peerId: 'n2' }), {}, 'n2'],
  ['check', (api) => api.check(), {}, undefined],
  ['bootstrap', (api) => api.bootstrap('n1', ['n1', 'n2'], { new: true }), { peers: ['n1', 'n2'], new: true }, 'n1'],
  ['reset_peer', (api) => api.resetPeer('n1', ['n1']), { new_peers: ['n1'] }, 'n1'],
  ['read_only', (api) => api.readOnly('n2', true), { read_only: true }, 'n2'],
])(
  '%s is requested with a body that its schema accepts, of the leader or of the named peer',
  async (name, run, body, peerId) => {
    const calls: Call[] = [];
    await run(
      new AdminApi((call) => {
        calls.push(call);
        return Promise.resolve({});
      }),
    );
    expect(calls).toEqual([{ operation: 'admin', command: name, body, peerId }]);
    expect(adminCommands[name].request.safeParse(body).success).toBe(true);
  },
);
