/** What all parts of the page share. */
import { computed, signal } from '@preact/signals';
import type { ViewState } from '../src/model/index.js';
import { ViewModel } from '../src/model/index.js';
import type { MessageRecord } from '../src/records/record.js';
import type { ControlState, SourceInfo } from '../src/source/view-source.js';

export const views = ['overview', 'change', 'timeline', 'keys', 'what-if'] as const;
export type View = (typeof views)[number];

const nothing: SourceInfo = { title: '', group: '', mode: 'live', time: 'wall' };

/** What delivers the records. */
export const info = signal<SourceInfo>(nothing);
export const abilities = signal({ keys: false, admin: false });
export const controls = signal<ControlState | undefined>(undefined);
/** `connecting`: nothing was received yet. */
export const link = signal<'connecting' | 'connected' | 'lost'>('connecting');
export const view = signal<View>('overview');
/** Why the last command was refused; empty: it was not. */
export const problem = signal('');

let model = new ViewModel(nothing);
/** Counts the changes of the model, which is changed in place. */
const version = signal(0);

/** The state of the model: reading it subscribes to all of its changes. */
export const state = computed<{ readonly current: ViewState }>(() => {
  version.value;
  return { current: model.state };
});

/** Receive each message once: what draws them moving. */
export const messageListeners = new Set<(messages: readonly MessageRecord[]) => void>();

export function replaceModel(next: SourceInfo, snapshot: ViewState): void {
  model = new ViewModel(next, snapshot);
  info.value = next;
  version.value += 1;
}

export function currentModel(): ViewModel {
  return model;
}

let isScheduled = false;

/** Draws at most once per frame, however many records arrive. */
export function modelChanged(): void {
  if (isScheduled) return;
  isScheduled = true;
  const run = (): void => {
    isScheduled = false;
    version.value += 1;
  };
  // A page in the background has no frames, and must not collect work.
  if (document.hidden) setTimeout(run, 1000);
  else requestAnimationFrame(run);
}
