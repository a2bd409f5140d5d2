/** The connection to the server of this page: server-sent events, and commands. */
import type { ViewState } from '../src/model/index.js';
import type { ViewRecord } from '../src/records/record.js';
import type { ControlState, ControlValue, SourceInfo } from '../src/source/view-source.js';
import {
  abilities,
  controls,
  currentModel,
  info,
  link,
  messageListeners,
  modelChanged,
  problem,
  replaceModel,
} from './store.js';

/** The server sends something at least every 5 s. */
const silenceMs = 12_000;
const retryMs = 1000;

interface StateEvent {
  readonly info: SourceInfo;
  readonly abilities: { readonly keys: boolean; readonly admin: boolean };
  readonly state: ViewState;
  readonly controls?: ControlState;
}

/** Connects, and connects again whenever the connection is lost. */
export function connect(): void {
  const source = new EventSource('api/stream');
  let heardAt = Date.now();
  const lost = (): void => {
    clearInterval(watchdog);
    source.close();
    link.value = 'lost';
    setTimeout(connect, retryMs);
  };
  const watchdog = setInterval(() => {
    if (Date.now() - heardAt > silenceMs) lost();
  }, 1000);
  const on = <T>(name: string, handle: (data: T) => void): void => {
    source.addEventListener(name, (event) => {
      heardAt = Date.now();
      handle(JSON.parse((event as MessageEvent<string>).data) as T);
    });
  };
  source.onerror = lost;
  on<StateEvent>('state', (event) => {
    link.value = 'connected';
    abilities.value = event.abilities;
    controls.value = event.controls;
    replaceModel(event.info, event.state);
    document.title = `${event.info.title} · Conclave`;
  });
  on<ViewRecord[]>('records', (records) => {
    currentModel().fold(records);
    const messages = records.filter((record) => record.kind === 'message');
    if (messages.length > 0) for (const listener of messageListeners) listener(messages);
    modelChanged();
  });
  on<ControlState>('controls', (next) => {
    controls.value = next;
  });
  on('alive', () => undefined);
}

/** An error of the server, in its words. */
export class RequestError extends Error {
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

/** @throws RequestError */
export async function get<T>(path: string, query: Record<string, string> = {}): Promise<T> {
  return parse<T>(await fetch(`${path}?${new URLSearchParams(query)}`));
}

/** @throws RequestError */
export async function post<T>(path: string, body: unknown): Promise<T> {
  const headers = { 'Content-Type': 'application/json' };
  return parse<T>(await fetch(path, { method: 'POST', headers, body: JSON.stringify(body) }));
}

async function parse<T>(response: Response): Promise<T> {
  const text = await response.text();
  let value: { error?: { code: string; message: string } } = {};
  try {
    value = JSON.parse(text);
  } catch {
    throw new RequestError(String(response.status), text || response.statusText);
  }
  if (value.error !== undefined) throw new RequestError(value.error.code, value.error.message);
  return value as T;
}

/** Ends when all commands so far are answered. */
let controlled: Promise<void> = Promise.resolve();

/** Sends a command to the source, after those before it: requests overtake each other. An error is shown. */
export function control(command: string, parameters: Record<string, ControlValue> = {}): Promise<void> {
  controlled = controlled.then(() => sendControl(command, parameters));
  return controlled;
}

async function sendControl(command: string, parameters: Record<string, ControlValue>): Promise<void> {
  try {
    await post('api/control', { command, parameters });
    problem.value = '';
  } catch (error) {
    problem.value = (error as Error).message;
  }
}

/** The time of a record as people read it. */
export function timeText(at: number): string {
  if (info.value.time === 'virtual') return `${(at / 1000).toFixed(3)} s`;
  const date = new Date(at);
  const two = (value: number): string => String(value).padStart(2, '0');
  const ms = String(date.getMilliseconds()).padStart(3, '0');
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${ms}`;
}
