import { request } from 'node:http';
import { limits } from '@conclave/protocol';
import { afterEach, describe, expect, it } from 'vitest';
import {
  type Action,
  type KeyReader,
  type SourceListener,
  type ViewRecord,
  ViewServer,
  type ViewServerOptions,
  type ViewSource,
} from '../src/index.js';
import { BrowserQueue } from '../src/server/browser-queue.js';
import { ConfirmedActions } from '../src/server/confirmed-actions.js';
import { pageBuilder } from './built-page.js';
import { changeRecords, message } from './samples.js';

/** A source whose records the test delivers. */
class ScriptedSource implements ViewSource {
  readonly info = { title: 'a test', group: 'main', mode: 'live', time: 'wall' } as const;
  listener: SourceListener | undefined;

  subscribe(listener: SourceListener): void {
    this.listener = listener;
  }

  isClosed = false;

  async close(): Promise<void> {
    this.isClosed = true;
  }
}

const builtPage = pageBuilder();

const stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

async function start(options: Partial<ViewServerOptions> = {}) {
  const source = new ScriptedSource();
  const page = await builtPage();
  const server = await ViewServer.start({ source, host: '127.0.0.1', port: 0, page, ...options });
  stops.push(() => server.close());
  return { server, source, url: server.url };
}

interface Reply {
  readonly status: number;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly text: string;
}

/** `fetch` sets `Host` itself. */
function ask(url: string, headers: Record<string, string>, method = 'GET', body = ''): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { method, headers }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }));
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

const json = { 'content-type': 'application/json' };

/** Reads server-sent events until one has this name; returns its data. */
async function nextEvent<T>(reader: ReadableStreamDefaultReader<Uint8Array>, name: string): Promise<T> {
  const decoder = new TextDecoder();
  let text = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) throw new Error('the stream has ended');
    text += decoder.decode(value, { stream: true });
    const found = new RegExp(`event: ${name}\ndata: (.*)\n\n`).exec(text);
    if (found?.[1] !== undefined) return JSON.parse(found[1]) as T;
  }
}

async function stream(url: string): Promise<ReadableStreamDefaultReader<Uint8Array>> {
  const response = await fetch(`${url}api/stream`);
  return (response.body as ReadableStream<Uint8Array>).getReader();
}

describe('the server of the page', () => {
  it('serves the page with a policy that forbids everything inline and everything from elsewhere', async () => {
    const { url } = await start();
    const { status, headers, text } = await ask(url, {});
    expect(status).toBe(200);
    expect(text).toContain('<div id="app">');
    expect(text).not.toMatch(/<script(?![^>]* src=)|<style|https?:\/\//);
    const policy = String(headers['content-security-policy']);
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("script-src 'self'");
    expect(policy).not.toContain('unsafe');
    expect(headers['access-control-allow-origin']).toBeUndefined();
  });

  it('sends a browser that connects the state, then the records', async () => {
    const { url, source } = await start();
    const [first, ...rest] = changeRecords();
    source.listener?.onRecords([first as ViewRecord]);
    const reader = await stream(url);
    const state = await nextEvent<{ state: { leader: string; change: unknown } }>(reader, 'state');
    expect(state.state).toMatchObject({ leader: 'n1', change: null });
    source.listener?.onRecords(rest);
    expect(await nextEvent(reader, 'records')).toEqual(rest);
    await reader.cancel();
  });

  it('sends the whole state again where the source begins again', async () => {
    const { url, source } = await start();
    const reader = await stream(url);
    await nextEvent(reader, 'state');
    const info = { ...source.info, title: 'another run' };
    source.listener?.onRestarted(info, changeRecords());
    const state = await nextEvent<{ info: object; state: object }>(reader, 'state');
    expect(state.info).toEqual(info);
    expect(state.state).toMatchObject({ change: { outcome: 'done' } });
    await reader.cancel();
  });

  it('sends the whole state instead of very many records at once, and none is lost', async () => {
    const { url, source } = await start();
    const reader = await stream(url);
    await nextEvent(reader, 'state');
    const many = Array.from({ length: 2 * limits.viewBrowserRecords }, (_, at) =>
      message(at, 'node.ack', 'n1.log-store', 'n1.node', {}),
    );
    source.listener?.onRecords(many);
    const { state } = await nextEvent<{ state: { lost: number; now: number } }>(reader, 'state');
    expect(state).toMatchObject({ lost: 0, now: many.length - 1 });
    await reader.cancel();
  });

  it.each([
    ['a page of another origin', { origin: 'http://evil.example' }],
    ['another page of this machine', { origin: 'http://127.0.0.1:1' }],
    ['a site that the browser names as another one', { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'cors' }],
    ['a name that was made to resolve to this address', { host: 'evil.example:8250' }],
  ])('refuses %s', async (_, headers) => {
    const { url } = await start();
    for (const path of ['api/stream', 'api/keys?prefix=', 'page.js']) {
      const reply = await ask(url + path, headers);
      expect(reply.status).toBe(403);
      expect(reply.text).toContain('EPERM');
    }
  });

  it('accepts localhost and addresses as its name, and links from other pages', async () => {
    const { url } = await start();
    const accepted: Record<string, string>[] = [
      { host: 'localhost:8250' },
      { host: '[::1]:8250' },
      { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' },
    ];
    for (const headers of accepted) expect((await ask(url, headers)).status).toBe(200);
  });

  it('accepts no command unless that is allowed', async () => {
    const { url } = await start();
    const action = JSON.stringify({ command: 'cancel_change', peer: '', request: {} });
    for (const path of ['api/admin/prepare', 'api/admin/confirm', 'api/control', '', 'api/keys']) {
      expect((await ask(url + path, json, 'POST', action)).status).toBe(404);
    }
  });

  it('names the port that another program has, and closes its source, which would keep the process running', async () => {
    const { url } = await start();
    const port = Number(new URL(url).port);
    const source = new ScriptedSource();
    await expect(start({ port, source })).rejects.toMatchObject({
      code: 'EBUSY',
      message: `127.0.0.1:${port} is used by another program: choose another port with --listen 127.0.0.1:<port>`,
    });
    expect(source.isClosed).toBe(true);
  });

  it('reports to the page which role is needed to read keys', async () => {
    const { ConclaveError } = await import('@conclave/protocol');
    const refuse = async (): Promise<never> => {
      throw new ConclaveError('EPERM', 'NATS does not permit it');
    };
    const keys: KeyReader = {
      list: refuse,
      get: refuse,
      leases: refuse,
      locks: refuse,
      watch: () => ({ [Symbol.asyncIterator]: () => ({ next: refuse }) }),
    };
    const { url } = await start({ keys });
    expect(await (await fetch(`${url}api/keys?prefix=`)).json()).toMatchObject({ error: { code: 'EPERM' } });
    const watched = (await fetch(`${url}api/watch?key=a`)).body as ReadableStream<Uint8Array>;
    expect(await nextEvent(watched.getReader(), 'failed')).toMatchObject({ code: 'EPERM' });
  });
});

describe('an admin command of the page', () => {
  const action: Action = { command: 'change_peers', peer: '', request: { new_peers: ['n1', 'n4', 'n5'] } };

  async function admin() {
    const done: Action[] = [];
    const { url } = await start({ admin: async (one) => void done.push(one) });
    const post = (path: string, body: unknown) => ask(`${url}api/admin/${path}`, json, 'POST', JSON.stringify(body));
    return { done, post, url };
  }

  it('is executed once, after its confirmation', async () => {
    const { done, post } = await admin();
    const prepared = await post('prepare', action);
    expect(done).toEqual([]);
    const { token, text } = JSON.parse(prepared.text) as { token: string; text: string };
    expect(text).toBe('Change the members of the group to {n1, n4, n5}.');
    expect((await post('confirm', { token, action })).status).toBe(200);
    expect(done).toEqual([action]);
    expect((await post('confirm', { token, action })).status).toBe(403);
    expect(done.length).toBe(1);
  });

  it('does nothing with a token of another action, without one, or from another origin', async () => {
    const { done, post, url } = await admin();
    const { token } = JSON.parse((await post('prepare', action)).text) as { token: string };
    const other = { ...action, request: { new_peers: ['n1'] } };
    expect((await post('confirm', { token, action: other })).status).toBe(403);
    // The token is void now.
    expect((await post('confirm', { token, action })).status).toBe(403);
    expect((await post('confirm', { token: 'guess', action })).status).toBe(403);
    expect((await post('confirm', { action })).status).toBe(400);
    const form = { 'content-type': 'text/plain' };
    expect((await ask(`${url}api/admin/prepare`, form, 'POST', JSON.stringify(action))).status).toBe(400);
    const evil = { ...json, origin: 'http://evil.example' };
    expect((await ask(`${url}api/admin/prepare`, evil, 'POST', JSON.stringify(action))).status).toBe(403);
    expect(done).toEqual([]);
  });

  it('is one of those that the page offers, and valid', async () => {
    const { post } = await admin();
    for (const bad of [
      { ...action, command: 'reset_peer' },
      { ...action, request: { new_peers: [] } },
      { ...action, request: { new_peers: ['n1'], force: true } },
      { ...action, peer: 'n1' },
      { command: 'snapshot', peer: '', request: {} },
    ]) {
      expect((await post('prepare', bad)).status).toBe(400);
    }
  });

  it('cannot be confirmed after its time', async () => {
    let now = 0;
    const done: Action[] = [];
    const actions = new ConfirmedActions(
      async (one) => void done.push(one),
      () => now,
    );
    const token = actions.prepare(action);
    now = 60_001;
    await expect(actions.confirm(token, action)).rejects.toMatchObject({ code: 'EPERM' });
    expect(done).toEqual([]);
  });
});

describe('what waits for a browser', () => {
  const note = (at: number): ViewRecord => ({ at, kind: 'note', level: 'info', text: 'a note' });

  it('is bounded: messages are dropped first, and the browser is notified', () => {
    const queue = new BrowserQueue();
    queue.add([note(0)]);
    for (let at = 1; at <= limits.viewBrowserRecords + 99; at++) {
      queue.add([message(at, 'node.ack', 'n1.log-store', 'n1.node', {})]);
    }
    const records = queue.take();
    expect(records.length).toBe(limits.viewBrowserRecords + 1);
    expect(records[0]).toMatchObject({ kind: 'lost', count: 100 });
    expect(records[1]).toEqual(note(0));
    expect(queue.take()).toEqual([]);
  });

  it('is bounded where there are no messages', () => {
    const queue = new BrowserQueue();
    for (let at = 0; at < limits.viewBrowserRecords + 5; at++) queue.add([note(at)]);
    expect(queue.take().length).toBe(limits.viewBrowserRecords + 1);
  });
});
