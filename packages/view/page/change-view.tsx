/** The messages as a sequence diagram: a lifeline for each actor, an arrow for each message, and the stages as bands. */
import { signal } from '@preact/signals';
import type { Arrow, ChangeState } from '../src/model/index.js';
import { peerSet } from '../src/text/index.js';
import { Progress } from './change-panel.js';
import { Diagram } from './sequence-diagram.js';
import { columnsOf, isShown } from './sequence-layout.js';
import { state } from './store.js';
import { type MessageGroup, messageGroups, stageTexts } from './words.js';

/** Frozen arrows while it is paused; undefined: it is live. */
const paused = signal<readonly Arrow[] | undefined>(undefined);
const hiddenPeers = signal<ReadonlySet<string>>(new Set());
const hiddenGroups = signal<ReadonlySet<MessageGroup>>(new Set(['heartbeat']));
const words = signal('');

export function ChangeView() {
  const { current } = state.value;
  const all = paused.value ?? current.arrows;
  const peers = involved(current.change, Object.keys(current.peers), current.configuration?.peers ?? []);
  const shownPeers = peers.filter((peer) => !hiddenPeers.value.has(peer));
  const filter = { peers: shownPeers, hiddenGroups: hiddenGroups.value, words: words.value };
  const arrows = all.filter((arrow) => isShown(arrow, filter));
  return (
    <div class="messages">
      <section class="card" aria-labelledby="messages-title">
        <div class="bar">
          <h2 id="messages-title">Messages</h2>
          <button
            type="button"
            aria-pressed={paused.value !== undefined}
            onClick={() => {
              paused.value = paused.value === undefined ? [...current.arrows] : undefined;
            }}
          >
            {paused.value === undefined ? 'Pause' : 'Continue'}
          </button>
          <label>
            <span class="hidden">Filter</span>
            <input
              type="search"
              placeholder="Filter: stored, n4, vote…"
              value={words.value}
              onInput={(event) => {
                words.value = event.currentTarget.value;
              }}
            />
          </label>
          <Toggles
            label="Peers"
            all={peers}
            hidden={hiddenPeers.value}
            change={(next) => {
              hiddenPeers.value = next;
            }}
          />
          <Toggles
            label="Kinds"
            all={Object.keys(messageGroups) as MessageGroup[]}
            hidden={hiddenGroups.value}
            dots
            change={(next) => {
              hiddenGroups.value = next;
            }}
          />
        </div>
        <ChangeBar change={current.change} />
        {arrows.length === 0 ? (
          <p class="empty">{emptyText(all.length)}</p>
        ) : (
          <Diagram
            arrows={arrows}
            columnsFor={(room) => columnsOf(shownPeers, current.leader, arrows, room)}
            bands={bandsOf(current.change, current.pastChanges)}
            live={paused.value === undefined}
            pause={() => {
              paused.value ??= [...current.arrows];
            }}
          />
        )}
      </section>
    </div>
  );
}

function emptyText(all: number): string {
  if (all > 0) return 'The filter hides all messages.';
  if (state.value.current.notes['permission:messages'] !== undefined) return 'This login may not see messages.';
  return 'No message was observed yet. Peers that run in one process publish theirs only with --mirror.';
}

/** The peers of a change, or the members; all, if these are unknown. */
function involved(change: ChangeState | null, all: readonly string[], members: readonly string[]): string[] {
  const wanted = change !== null ? [...change.oldPeers, ...change.newPeers] : members.length > 0 ? members : all;
  return [...new Set(wanted)].toSorted((one, other) => one.localeCompare(other, 'en', { numeric: true }));
}

function ChangeBar({ change }: { change: ChangeState | null }) {
  if (change === null) return null;
  const stage = stageTexts[change.stage];
  return (
    <div class="change-bar">
      <strong>
        {peerSet(change.oldPeers)} → {peerSet(change.newPeers)}
      </strong>
      <span class={`badge ${change.outcome}`}>
        {change.outcome === 'going_on' ? (stage?.name ?? 'begins') : change.outcome === 'done' ? 'done' : 'failed'}
      </span>
      {change.adding.map((peer) => (
        <Progress key={peer} peer={peer} progress={change.catchUp[peer]} />
      ))}
    </div>
  );
}

/** What a band of the diagram shows: a stage of a change. */
export interface Band {
  readonly stage: string;
  readonly from: number;
  readonly to: number | null;
}

function bandsOf(change: ChangeState | null, past: readonly ChangeState[]): Band[] {
  return [...past, ...(change === null ? [] : [change])].flatMap(({ stages }) => stages);
}

interface TogglesProps<T extends string> {
  readonly label: string;
  readonly all: readonly T[];
  readonly hidden: ReadonlySet<T>;
  readonly dots?: boolean;
  readonly change: (next: ReadonlySet<T>) => void;
}

function Toggles<T extends string>({ label, all, hidden, dots = false, change }: TogglesProps<T>) {
  const toggle = (name: T): void => {
    const next = new Set(hidden);
    if (!next.delete(name)) next.add(name);
    change(next);
  };
  return (
    <fieldset class="toggles">
      <legend class="hidden">{label}</legend>
      {all.map((name) => (
        <button type="button" key={name} aria-pressed={!hidden.has(name)} onClick={() => toggle(name)}>
          {dots && <i class={`dot ${name}`} />}
          {name}
        </button>
      ))}
    </fieldset>
  );
}
