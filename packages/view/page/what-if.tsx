/** Which peers can be restarted, and what a planned change would require. */
import { signal } from '@preact/signals';
import { planChange } from '../src/model/index.js';
import { peerSet } from '../src/text/index.js';
import { ask } from './admin.js';
import { abilities, state } from './store.js';
import { stageTexts } from './words.js';

/** The planned members; undefined: those in effect. */
const wanted = signal<readonly string[] | undefined>(undefined);
const added = signal('');

export function WhatIf() {
  return (
    <div class="what-if">
      <section class="card" aria-labelledby="restart-title">
        <h2 id="restart-title">Which peers may be restarted?</h2>
        <Restarts />
      </section>
      <section class="card" aria-labelledby="plan-title">
        <h2 id="plan-title">What would a change require?</h2>
        <Plan />
      </section>
    </div>
  );
}

function Restarts() {
  const peers = Object.values(state.value.current.peers)
    .filter(({ mayRestart }) => mayRestart !== null)
    .toSorted((one, other) => one.name.localeCompare(other.name, 'en', { numeric: true }));
  if (peers.length === 0) return <p class="empty">Unknown: only a leader can say, and no leader replies.</p>;
  return (
    <ul class="answers">
      {peers.map(({ name, mayRestart, restartReason }) => (
        <li key={name} class={mayRestart ? 'good' : 'warning'}>
          <strong>{name}</strong>{' '}
          {mayRestart
            ? 'may be restarted now: the others have a majority.'
            : `must not be restarted now: ${restartReason}`}
        </li>
      ))}
    </ul>
  );
}

const namePattern = /^[A-Za-z0-9_-]{1,64}$/;

function Plan() {
  const { current } = state.value;
  const now = current.configuration?.peers ?? [];
  const members = wanted.value ?? now;
  const names = [...new Set([...Object.keys(current.peers), ...members])].toSorted((one, other) =>
    one.localeCompare(other, 'en', { numeric: true }),
  );
  const plan = planChange(current, members);
  const toggle = (name: string): void => {
    wanted.value = members.includes(name) ? members.filter((one) => one !== name) : [...members, name];
  };
  return (
    <>
      <fieldset class="toggles large">
        <legend>The members after the change</legend>
        {names.map((name) => (
          <button type="button" key={name} aria-pressed={members.includes(name)} onClick={() => toggle(name)}>
            {name}
          </button>
        ))}
      </fieldset>
      <form
        class="bar"
        onSubmit={(event) => {
          event.preventDefault();
          if (namePattern.test(added.value) && !members.includes(added.value)) toggle(added.value);
          added.value = '';
        }}
      >
        <label>
          Another peer{' '}
          <input
            pattern="[A-Za-z0-9_\-]+"
            maxLength={64}
            size={10}
            value={added.value}
            onInput={(event) => {
              added.value = event.currentTarget.value;
            }}
          />
        </label>
        <button type="submit">Add</button>
        <button
          type="button"
          onClick={() => {
            wanted.value = undefined;
          }}
        >
          Reset
        </button>
      </form>
      <p class="headline" aria-live="polite">
        <strong>
          {peerSet(now)} → {peerSet(members)}
        </strong>{' '}
        {members.length === 0 ? (
          <span class="badge failed">a group has at least one member</span>
        ) : (
          plan.stages.length > 0 && (
            <span class={`badge ${plan.isPossible ? 'done' : 'failed'}`}>
              {plan.isPossible ? 'possible now' : 'not possible now'}
            </span>
          )
        )}
      </p>
      {plan.stages.length > 0 && (
        <ol class="steps">
          {plan.stages.map((stage) => (
            <li key={stage} class="future">
              <span>{stageTexts[stage]?.name}</span>
              <small>{stageTexts[stage]?.help}</small>
            </li>
          ))}
        </ol>
      )}
      <ul class="answers">
        {plan.facts.map(({ text, tone }) => (
          <li key={text} class={tone}>
            {text}
          </li>
        ))}
      </ul>
      {plan.stages.length > 0 && members.length > 0 && (
        <p class="footnote">
          On the command line: <code>conclave peers change {members.join(' ')}</code>
          {abilities.value.admin && (
            <button
              type="button"
              onClick={() => void ask({ command: 'change_peers', peer: '', request: { new_peers: members } })}
            >
              Change the members…
            </button>
          )}
        </p>
      )}
    </>
  );
}
