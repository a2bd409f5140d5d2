/** The membership change in progress, or the last one: its stages, its new peers, and its majorities, vote by vote. */
import type { Ballot, CatchUp, ChangeState, Majority } from '../src/model/index.js';
import { count, duration, longDuration, peerSet } from '../src/text/index.js';
import { CancelChange } from './admin.js';
import { info, state } from './store.js';
import { stages, stageTexts } from './words.js';

export function ChangePanel() {
  const { change, configuration, pastChanges } = state.value.current;
  return (
    <>
      <h2 id="change-title">Membership</h2>
      <div class="sets">
        {configuration !== null && configuration.oldPeers.length > 0 && (
          <p>
            <span class="set old">{peerSet(configuration.oldPeers)}</span> <small>before</small>
          </p>
        )}
        {configuration !== null && (
          <p>
            <span class="set new">{peerSet(configuration.peers)}</span>{' '}
            <small>{configuration.oldPeers.length > 0 ? 'after' : 'in effect'}</small>
          </p>
        )}
      </div>
      {change === null ? (
        <p class="empty">
          No change was observed.{' '}
          {info.value.mode === 'simulate'
            ? 'Under Members, choose the new members and press Change members.'
            : 'Try: conclave peers change n1 n4 n5'}
        </p>
      ) : (
        <Change change={change} />
      )}
      {pastChanges.length > 0 && (
        <details>
          <summary>Earlier changes ({pastChanges.length})</summary>
          <ul>
            {pastChanges.toReversed().map((past) => (
              <li key={past.id}>
                {peerSet(past.oldPeers)} to {peerSet(past.newPeers)}: {past.outcome === 'failed' ? past.error : 'done'}
              </li>
            ))}
          </ul>
        </details>
      )}
    </>
  );
}

function Change({ change }: { change: ChangeState }) {
  const { now } = state.value.current;
  const tookMs = (change.endedAt ?? now) - change.startedAt;
  const outcome = { going_on: 'in progress', done: 'done', failed: 'failed' }[change.outcome];
  return (
    <div class={`change ${change.outcome}`}>
      <p class="headline">
        <strong>
          {peerSet(change.oldPeers)} → {peerSet(change.newPeers)}
        </strong>{' '}
        <span class={`badge ${change.outcome}`}>{outcome}</span> <small>{duration(tookMs)}</small>
      </p>
      {change.error !== '' && <p class="reason">{change.error}</p>}
      <Steps change={change} now={now} />
      <CancelChange />
      {change.adding.length > 0 && (
        <>
          <h3>New peers</h3>
          {change.adding.map((peer) => (
            <Progress key={peer} peer={peer} progress={change.catchUp[peer]} />
          ))}
        </>
      )}
      {change.ballots.map((ballot) => (
        <BallotRow key={ballot.index} ballot={ballot} />
      ))}
    </div>
  );
}

function Steps({ change, now }: { change: ChangeState; now: number }) {
  return (
    <ol class="steps" aria-label="Stages">
      {stages.map((stage) => {
        const time = change.stages.findLast((one) => one.stage === stage);
        const isNow = change.stage === stage;
        const status = isNow ? 'current' : time !== undefined ? 'past' : 'future';
        return (
          <li key={stage} class={status} aria-current={isNow ? 'step' : undefined} title={stageTexts[stage]?.help}>
            <span>{stageTexts[stage]?.name}</span>
            <small>{time === undefined ? '–' : duration((time.to ?? now) - time.from)}</small>
          </li>
        );
      })}
    </ol>
  );
}

export function Progress({ peer, progress }: { peer: string; progress: CatchUp | undefined }) {
  const percent = progress?.percent ?? 0;
  return (
    <div class="progress">
      <span class="who">{peer}</span>
      <progress max={100} value={percent} aria-label={`${peer} has caught up to ${percent} percent`} />
      <span class="percent">{percent} %</span>
      <small>{progressText(progress)}</small>
    </div>
  );
}

function progressText(progress: CatchUp | undefined): string {
  if (progress === undefined || progress.state === 'never_heard_of') return 'has not replied yet';
  if (progress.state === 'caught_up') return 'caught up';
  if (progress.state === 'refused') return 'refused';
  const rate = progress.rate === null || progress.rate === 0 ? '' : `, ${count(progress.rate)} entries/s`;
  const { remainingMs } = progress;
  const rest = remainingMs === null ? '' : `, ${remainingMs < 1000 ? 'less than 1 s' : longDuration(remainingMs)} left`;
  const what = progress.state === 'installing' ? 'installs a snapshot' : `lacks ${count(progress.lag)} entries`;
  return `${what}${rate}${rest}`;
}

const setNames = {
  old: 'Majority of the old members',
  new: 'Majority of the new members',
  all: 'Majority of the members',
};

function BallotRow({ ballot }: { ballot: Ballot }) {
  const stage = stageTexts[ballot.stage]?.name.toLowerCase();
  return (
    <section class="ballot" aria-label={`The entry of the ${stage} stage`}>
      <h3>
        Entry {count(ballot.index)} <small>({stage})</small>{' '}
        {ballot.committedAt !== null && <span class="badge done">committed</span>}
      </h3>
      {ballot.majorities.map((majority) => (
        <MajorityRow key={majority.set} majority={majority} committed={ballot.committedAt !== null} />
      ))}
    </section>
  );
}

function MajorityRow({ majority, committed }: { majority: Majority; committed: boolean }) {
  const { set, peers, stored, needed } = majority;
  const reached = stored.length >= needed || committed;
  return (
    <div class={`majority ${reached ? 'reached' : ''}`}>
      <span class="label">{setNames[set]}</span>
      <ul aria-label={`${setNames[set]}: stored by ${stored.length}, needed ${needed}`}>
        {peers.map((peer) => (
          <li key={peer} class={stored.includes(peer) ? 'stored' : ''}>
            {peer}
            <span class="hidden">{stored.includes(peer) ? ' has stored it' : ' has not stored it'}</span>
          </li>
        ))}
      </ul>
      <small>
        {Math.min(stored.length, peers.length)} of {peers.length}, needs {needed}
      </small>
    </div>
  );
}
