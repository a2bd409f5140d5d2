/** The frame of the page: what it shows, its views, its notes, and the controls of its source. */
import { useEffect } from 'preact/hooks';
import { count } from '../src/text/index.js';
import { Confirmation } from './admin.js';
import { ChangeView } from './change-view.js';
import { Controls } from './controls.js';
import { Keys } from './keys.js';
import { Overview } from './overview.js';
import { abilities, info, link, problem, state, type View, view, views } from './store.js';
import { nextTheme, theme } from './theme.js';
import { Timeline } from './timeline.js';
import { isTyping } from './typing.js';
import { WhatIf } from './what-if.js';

const names: Readonly<Record<View, string>> = {
  overview: 'Overview',
  change: 'Messages',
  timeline: 'Timeline',
  keys: 'Keys',
  'what-if': 'What if',
};

const modes = { live: 'live', replay: 'recording', simulate: 'simulation' } as const;

export function App() {
  const shown = views.filter((name) => name !== 'keys' || abilities.value.keys);
  useEffect(() => keyboard(shown), [shown.length]);
  if (link.value === 'connecting') return <p class="waiting">Connecting…</p>;
  return (
    <>
      <a class="skip" href="#view">
        Skip to the content
      </a>
      <Header shown={shown} />
      <Notes />
      <div class={`frame ${info.value.mode}`}>
        <Controls />
        <main id="view" tabIndex={-1}>
          {view.value === 'overview' && <Overview />}
          {view.value === 'change' && <ChangeView />}
          {view.value === 'timeline' && <Timeline />}
          {view.value === 'keys' && <Keys />}
          {view.value === 'what-if' && <WhatIf />}
        </main>
      </div>
      <Confirmation />
    </>
  );
}

/** The digits open the views, unless something is being typed. */
function keyboard(shown: readonly View[]): () => void {
  const onKey = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
    const chosen = shown[Number(event.key) - 1];
    if (chosen !== undefined) view.value = chosen;
  };
  document.addEventListener('keydown', onKey);
  return () => document.removeEventListener('keydown', onKey);
}

function Header({ shown }: { shown: readonly View[] }) {
  const { mode, title } = info.value;
  return (
    <header>
      <div class="brand">
        <Mark />
        <h1>Conclave</h1>
        <span class="title">{title}</span>
        <span class={`badge mode ${mode}`}>{modes[mode]}</span>
      </div>
      <Facts />
      <nav aria-label="Views">
        {shown.map((name, index) => (
          <button
            type="button"
            key={name}
            aria-current={view.value === name ? 'page' : undefined}
            title={`Key ${index + 1}`}
            onClick={() => {
              view.value = name;
            }}
          >
            {names[name]}
          </button>
        ))}
        <button type="button" class="theme" aria-label={`Colours: ${theme.value}. Change them`} onClick={nextTheme}>
          {theme.value === 'light' ? '☀' : theme.value === 'dark' ? '☾' : '◐'}
        </button>
      </nav>
    </header>
  );
}

function Mark() {
  return (
    <svg class="mark" viewBox="0 0 32 32" aria-hidden="true">
      <circle class="circle" cx="16" cy="16" r="11" />
      <circle class="leader" cx="16" cy="5" r="4.2" />
      <circle class="peer" cx="6.5" cy="21.5" r="4.2" />
      <circle class="peer" cx="25.5" cy="21.5" r="4.2" />
    </svg>
  );
}

function Facts() {
  const { leader, term, commit, rate, lost } = state.value.current;
  const isSampled = rate.sent > rate.shown;
  return (
    <dl class="facts">
      <Fact name="leader" value={leader === '' ? 'none' : leader} alarming={leader === ''} />
      <Fact name="term" value={count(term)} />
      <Fact name="committed" value={count(commit)} />
      <Fact
        name="messages/s"
        value={isSampled ? `${count(rate.sent)} (${count(rate.shown)} shown)` : count(rate.sent)}
      />
      {lost > 0 && <Fact name="not shown" value={`${count(lost)} records`} alarming />}
    </dl>
  );
}

function Fact({ name, value, alarming = false }: { name: string; value: string; alarming?: boolean }) {
  return (
    <div class={alarming ? 'alarming' : undefined}>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}

function Notes() {
  const notes = Object.entries(state.value.current.notes);
  return (
    <div role="status" class="notes">
      {link.value === 'lost' && (
        <p class="error">The connection to the server of this page is lost. What you see is old. Reconnecting…</p>
      )}
      {problem.value !== '' && (
        <p class="warning">
          {problem.value}{' '}
          <button
            type="button"
            onClick={() => {
              problem.value = '';
            }}
          >
            Close
          </button>
        </p>
      )}
      {notes.map(([topic, { text, level }]) => (
        <p key={topic} class={level}>
          {text}
        </p>
      ))}
    </div>
  );
}
