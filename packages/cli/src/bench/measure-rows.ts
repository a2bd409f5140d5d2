/** Starts the processes of a set-up, and measures rows with them. */
import path from 'node:path';
import { asGroupId, defaultPrefix, type GroupId } from '@conclave/protocol';
import { CleanUp } from '../processes/clean-up.js';
import { createGroups, foundGroup, type Mesh, makeMesh, peerNames, refuseSecondMesh } from '../processes/mesh.js';
import type { Placement } from '../processes/peer-processes.js';
import { measureIdle, type NamedProcess, type ProcessUsage } from './idle.js';
import { KvLoad } from './kv-load.js';
import { type Measured, measure } from './measure.js';
import { measureOpen, type OpenMeasured } from './open-loop.js';
import { type ReadKind, type Row, type SetUpName, setUps } from './rows.js';
import { evenTimes, type RowsOptions, type Run, times, warmUp } from './run.js';

const groupId = asGroupId('bench');

/** What was measured for a row, without its baseline. */
export type Figures =
  | { readonly measured: Measured }
  | { readonly open: OpenMeasured }
  | { readonly usage: readonly ProcessUsage[] };

/** Starts the processes of a set-up and measures its rows one by one. */
export async function* measureRows(
  run: Run,
  placement: Placement,
  setUp: SetUpName,
  round: string,
  rows: readonly Row[],
): AsyncGenerator<readonly [Row, Figures]> {
  const cleanUp = new CleanUp();
  run.cleanUp.add(() => cleanUp.run());
  try {
    // Each placement has a prefix of its own, so that late messages of one do not reach the other.
    const prefix = `${defaultPrefix}-${placement}`;
    const folder = path.join(run.folder, `${placement}-${setUp}${round && `-${round}`}`);
    const mesh = await makeMesh(cleanUp, run.login, { groupId, prefix, placement, folder }, (text) =>
      run.output.note(text),
    );
    const peers = peerNames(setUps[setUp].peers);
    await refuseSecondMesh(mesh.adminClient, peers);
    await mesh.processes.start(peers);
    await foundGroup(mesh, peers);
    if (setUp === 'idle') {
      for (const row of rows) yield [row, { usage: await measureResting(run, mesh) }];
      return;
    }
    const groups = [groupId, ...moreGroups(setUps[setUp].groups)];
    await createGroups(mesh, groups.slice(1), peers);
    const load = await KvLoad.connect(cleanUp, mesh, groups, setUp);
    await warmUp((warming) => measure(load.put, warming), rows, run.options);
    const speeds = new Map<string, number>();
    for (const row of rows) {
      const { rate, comparedWith = '' } = row;
      if (rate !== undefined) {
        const perSecond = rate * (speeds.get(comparedWith) ?? 0);
        yield [row, { open: await measureOpen(load.put, { perSecond, ...times(run.options) }) }];
        continue;
      }
      const measured = await measureRow(load, row, run.options);
      speeds.set(row.name, measured.operationsPerSecond);
      yield [row, { measured }];
    }
  } finally {
    await cleanUp.run();
  }
}

function moreGroups(groups: number): GroupId[] {
  return Array.from({ length: groups - 1 }, (_, index) => asGroupId(`${groupId}-${index + 2}`));
}

/** The processes rest for as long as others are warmed up. */
async function measureResting({ options, natsPid }: Run, mesh: Mesh): Promise<ProcessUsage[]> {
  const nats: readonly NamedProcess[] = natsPid === undefined ? [] : [{ name: 'nats-server', pid: natsPid }];
  const processes = [...mesh.processes.running(), ...nats];
  await measureIdle(processes, 1000 * options.warmUpSeconds);
  return measureIdle(processes, 1000 * options.seconds);
}

async function measureRow(load: KvLoad, row: Row, options: RowsOptions): Promise<Measured> {
  const { operation, inFlight } = row;
  if (operation === 'write') return measure(load.put, { inFlight, ...times(options) });
  const get = await load.reader(operation as ReadKind);
  return measure(get, { inFlight, ...evenTimes(options) });
}
