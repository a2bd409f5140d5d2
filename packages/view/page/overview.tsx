/** The group at a glance: its peers as a ring, the change in progress, and a table of the peers. */

import type { PeerState } from '../src/model/index.js';
import { count, duration, longDuration } from '../src/text/index.js';
import { PeerActions } from './admin.js';
import { ChangePanel } from './change-panel.js';
import { Ring } from './ring.js';
import { ScrollingTable } from './scrolling-table.js';
import { abilities, controls, state } from './store.js';
import { conditionNames, membershipTexts, roleName } from './words.js';

export function Overview() {
  const { current } = state.value;
  const peers = Object.values(current.peers).toSorted((one, other) =>
    one.name.localeCompare(other.name, 'en', { numeric: true }),
  );
  return (
    <div class="overview">
      <section class="card ring-card" aria-labelledby="ring-title">
        <h2 id="ring-title">Group</h2>
        <Ring peers={peers} />
      </section>
      <section class="card" aria-labelledby="change-title">
        <ChangePanel />
      </section>
      <section class="card wide" aria-labelledby="peers-title">
        <h2 id="peers-title">Peers</h2>
        <PeerTable peers={peers} />
      </section>
    </div>
  );
}

function PeerTable({ peers }: { peers: readonly PeerState[] }) {
  const { last } = state.value.current;
  const hasActions = abilities.value.admin || (controls.value?.commands.some(({ onPeer }) => onPeer) ?? false);
  return (
    <ScrollingTable label="Table of the peers">
      <thead>
        <tr>
          <th scope="col">Peer</th>
          <th scope="col">Role</th>
          <th scope="col">Health</th>
          <th scope="col" class="number">
            Term
          </th>
          <th scope="col" class="number">
            Stored to
          </th>
          <th scope="col" class="number">
            Lacks
          </th>
          <th scope="col" class="number">
            Applied
          </th>
          <th scope="col" class="number">
            Silent for
          </th>
          <th scope="col" class="restart">
            Restart
          </th>
          {hasActions && <th scope="col">Actions</th>}
        </tr>
      </thead>
      <tbody>
        {peers.map((peer) => (
          <tr key={peer.name} class={`membership-${peer.membership}`}>
            <th scope="row">
              {peer.name} <small>{membershipTexts[peer.membership]}</small>
            </th>
            <td>
              <span class={`role ${peer.role}`}>{roleName(peer.role)}</span>
            </td>
            <td>
              <Health peer={peer} />
            </td>
            <td class="number">{count(peer.term)}</td>
            <td class="number">{peer.match < 0 ? '–' : count(peer.match)}</td>
            <td class="number">
              <Lag peer={peer} last={last} />
            </td>
            <td class="number">{peer.applied < 0 ? '–' : count(peer.applied)}</td>
            <td class="number">{silence(peer)}</td>
            <td class="restart">
              <RestartAdvice peer={peer} />
            </td>
            {hasActions && (
              <td>
                <PeerActions peer={peer} />
              </td>
            )}
          </tr>
        ))}
      </tbody>
    </ScrollingTable>
  );
}

function silence({ silentMs, role }: PeerState): string {
  if (role === 'leader' || silentMs < 0) return '–';
  return silentMs < 1000 ? duration(silentMs) : longDuration(silentMs);
}

function Lag({ peer, last }: { peer: PeerState; last: number }) {
  if (peer.lag < 0 || peer.membership === 'outside') return <>–</>;
  const share = last === 0 ? 0 : Math.min(1, peer.lag / last);
  return (
    <>
      {count(peer.lag)}
      {share >= 0.01 && <meter class="lag" value={share} title={`${count(peer.lag)} entries`} />}
    </>
  );
}

export function Health({ peer }: { peer: PeerState }) {
  if (peer.condition !== 'up') return <span class="health bad">{conditionNames[peer.condition]}</span>;
  if (peer.readOnly !== '') return <span class="health warning">read-only</span>;
  if (peer.healthy === null) return <span class="health unknown">unknown</span>;
  if (peer.healthy) return <span class="health good">healthy</span>;
  if (peer.membership === 'outside') return <span class="health unknown">{peer.reason}</span>;
  return (
    <span class="health bad" title={peer.reason}>
      {peer.reason}
    </span>
  );
}

function RestartAdvice({ peer }: { peer: PeerState }) {
  if (peer.mayRestart === null) return <>–</>;
  if (peer.mayRestart) return <span class="health good">may be restarted</span>;
  return (
    <span class="health warning" title={peer.restartReason}>
      must not: {peer.restartReason}
    </span>
  );
}
