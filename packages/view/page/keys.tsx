/** Keys by prefix, the value of one, live, and the leases and locks with their holders. Everything is shown as text. */
import { signal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { KeyPage, KeyValue, LeaseRow, LockRow } from '../src/server/key-reader.js';
import { bytesText, count, longDuration } from '../src/text/index.js';
import { get, RequestError } from './connection.js';
import { ScrollingTable } from './scrolling-table.js';

const prefix = signal('');
const page = signal<KeyPage | undefined>(undefined);
const chosen = signal<string | undefined>(undefined);
const value = signal<KeyValue | null | undefined>(undefined);
const form = signal<'text' | 'json' | 'bytes'>('text');
const leases = signal<readonly LeaseRow[]>([]);
const locks = signal<readonly LockRow[]>([]);
const fault = signal('');

/** Between two reads of leases and locks. */
const refreshMs = 2000;

export function Keys() {
  useEffect(() => {
    void list();
    void readLeases();
    const timer = setInterval(() => void readLeases(), refreshMs);
    return () => clearInterval(timer);
  }, []);
  useEffect(() => (chosen.value === undefined ? undefined : watch(chosen.value)), [chosen.value]);
  return (
    <div class="keys">
      {fault.value !== '' && (
        <p class="warning wide" role="status">
          {fault.value}
        </p>
      )}
      <section class="card" aria-labelledby="keys-title">
        <h2 id="keys-title">Keys</h2>
        <form
          class="bar"
          onSubmit={(event) => {
            event.preventDefault();
            void list();
          }}
        >
          <label class="grow">
            <span class="hidden">Prefix</span>
            <input
              type="search"
              placeholder="Prefix (empty: all)"
              value={prefix.value}
              onInput={(event) => {
                prefix.value = event.currentTarget.value;
                void list();
              }}
            />
          </label>
          <button type="submit">Search</button>
        </form>
        <KeyList />
      </section>
      <section class="card" aria-labelledby="value-title">
        <h2 id="value-title">Value</h2>
        <Value />
      </section>
      <section class="card" aria-labelledby="locks-title">
        <h2 id="locks-title">Locks</h2>
        <Locks />
      </section>
      <section class="card" aria-labelledby="leases-title">
        <h2 id="leases-title">Leases</h2>
        <Leases />
      </section>
    </div>
  );
}

let request = 0;

async function list(after?: string): Promise<void> {
  request += 1;
  const own = request;
  try {
    const next = await get<KeyPage>('api/keys', { prefix: prefix.value, ...(after === undefined ? {} : { after }) });
    // A later request has been sent meanwhile.
    if (own !== request) return;
    page.value = after === undefined ? next : { ...next, keys: [...(page.value?.keys ?? []), ...next.keys] };
    fault.value = '';
  } catch (error) {
    show(error);
  }
}

async function readLeases(): Promise<void> {
  try {
    const [leaseReply, lockReply] = await Promise.all([
      get<{ leases: LeaseRow[] }>('api/leases'),
      get<{ locks: LockRow[] }>('api/locks'),
    ]);
    leases.value = leaseReply.leases;
    locks.value = lockReply.locks;
  } catch (error) {
    show(error);
  }
}

function show(error: unknown): void {
  const isRefused = error instanceof RequestError && error.code === 'EPERM';
  fault.value = isRefused
    ? `Keys are not shown: this login needs the role reader. (${error.message})`
    : (error as Error).message;
}

/** Follows the value of a key until the returned function is called. */
function watch(key: string): () => void {
  value.value = undefined;
  const source = new EventSource(`api/watch?${new URLSearchParams({ key })}`);
  source.addEventListener('value', (event) => {
    value.value = JSON.parse((event as MessageEvent<string>).data) as KeyValue | null;
  });
  source.addEventListener('failed', (event) => {
    source.close();
    const { code, message } = JSON.parse((event as MessageEvent<string>).data) as { code: string; message: string };
    show(new RequestError(code, message));
  });
  return () => source.close();
}

function KeyList() {
  if (page.value === undefined) return <p class="empty">Reading…</p>;
  const { keys, more, revision } = page.value;
  if (keys.length === 0) return <p class="empty">No key has this prefix. Try: conclave kv put hello world</p>;
  return (
    <>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard */}
      <section class="scroll key-list" tabIndex={0} aria-label="Keys">
        <ul>
          {keys.map(({ key, revision: keyRevision }) => (
            <li key={key}>
              <button
                type="button"
                aria-pressed={chosen.value === key}
                onClick={() => {
                  chosen.value = key;
                }}
              >
                <code>{key}</code>
                <small>{count(keyRevision)}</small>
              </button>
            </li>
          ))}
        </ul>
        {more && (
          <button type="button" onClick={() => void list(keys.at(-1)?.key)}>
            More
          </button>
        )}
      </section>
      <p class="footnote">
        {count(keys.length)} keys at revision {count(revision)}
      </p>
    </>
  );
}

function Value() {
  if (chosen.value === undefined) return <p class="empty">Choose a key.</p>;
  const shown = value.value;
  return (
    <>
      <p class="headline">
        <code>{chosen.value}</code> <span class="badge live">watched live</span>
      </p>
      {shown === undefined && <p class="empty">Reading…</p>}
      {shown === null && <p class="empty">This key does not exist.</p>}
      {shown != null && (
        <>
          <p class="footnote">
            revision {count(shown.revision)}, {bytesText(shown.bytes)}
            {shown.lease !== undefined && `, tied to lease ${shown.lease}`}
          </p>
          <fieldset class="toggles">
            <legend class="hidden">Form</legend>
            {(['text', 'json', 'bytes'] as const).map((name) => (
              <button
                type="button"
                key={name}
                aria-pressed={form.value === name}
                onClick={() => {
                  form.value = name;
                }}
              >
                {name}
              </button>
            ))}
          </fieldset>
          <pre class="scroll value" aria-live="polite">
            {formatted(shown.value, form.value)}
          </pre>
        </>
      )}
    </>
  );
}

/** How many bytes are shown: a value may have hundreds of kilobytes. */
const maxBytes = 32_768;

function formatted(base64: string, as: 'text' | 'json' | 'bytes'): string {
  const all = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
  const bytes = all.subarray(0, maxBytes);
  const rest = all.length > bytes.length ? `\n… ${count(all.length - bytes.length)} more bytes` : '';
  if (as === 'bytes') return hexDump(bytes) + rest;
  const text = new TextDecoder().decode(as === 'json' ? all : bytes);
  if (as === 'text') return text + rest;
  try {
    return JSON.stringify(JSON.parse(text), undefined, 2).slice(0, maxBytes);
  } catch (error) {
    return `This value is not JSON: ${(error as Error).message}`;
  }
}

function hexDump(bytes: Uint8Array): string {
  const lines: string[] = [];
  for (let start = 0; start < bytes.length; start += 16) {
    const part = [...bytes.subarray(start, start + 16)];
    const hex = part.map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
    const text = part.map((byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : '.')).join('');
    lines.push(`${start.toString(16).padStart(6, '0')}  ${hex.padEnd(47)}  ${text}`);
  }
  return lines.join('\n');
}

function Locks() {
  if (locks.value.length === 0) return <p class="empty">No lock is held.</p>;
  return (
    <ScrollingTable label="Table of the locks">
      <thead>
        <tr>
          <th scope="col">Lock</th>
          <th scope="col">Holder</th>
          <th scope="col" class="number">
            Token
          </th>
          <th scope="col" class="number">
            Waiting
          </th>
          <th scope="col" class="number">
            Remaining
          </th>
        </tr>
      </thead>
      <tbody>
        {locks.value.map(({ name, owner, token, waiting, remainingMs }) => (
          <tr key={name}>
            <th scope="row">
              <code>{name}</code>
            </th>
            <td>{owner}</td>
            <td class="number">{count(token)}</td>
            <td class="number">{waiting}</td>
            <td class="number">{remainingMs === null ? '–' : longDuration(remainingMs)}</td>
          </tr>
        ))}
      </tbody>
    </ScrollingTable>
  );
}

function Leases() {
  if (leases.value.length === 0) return <p class="empty">There is no lease.</p>;
  return (
    <ScrollingTable label="Table of the leases">
      <thead>
        <tr>
          <th scope="col">Lease</th>
          <th scope="col">Keys</th>
          <th scope="col" class="number">
            Time
          </th>
          <th scope="col" class="number">
            Remaining
          </th>
        </tr>
      </thead>
      <tbody>
        {leases.value.map(({ lease, ttlMs, remainingMs, keys }) => (
          <tr key={lease}>
            <th scope="row">
              <code>{lease}</code>
            </th>
            <td class="wrap">{keys.join(', ')}</td>
            <td class="number">{longDuration(ttlMs)}</td>
            <td class="number">
              {remainingMs === null ? '–' : <meter value={remainingMs / ttlMs} title={longDuration(remainingMs)} />}{' '}
              {remainingMs !== null && longDuration(remainingMs)}
            </td>
          </tr>
        ))}
      </tbody>
    </ScrollingTable>
  );
}
