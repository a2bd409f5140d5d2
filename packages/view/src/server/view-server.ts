/**
 * The HTTP server of the page.
 *
 * | path | what it is |
 * |---|---|
 * | `GET /` and its files | the page |
 * | `GET /api/stream` | server-sent events: `state` (all that the page shows), then `records`, `controls` (of a recording or simulation) and `alive` |
 * | `GET /api/keys`, `/api/key`, `/api/leases`, `/api/locks` | reads of a live group |
 * | `GET /api/watch` | server-sent events: the value of a key |
 * | `POST /api/control` | a command to a recording or a simulation, such as pause |
 * | `POST /api/admin/prepare`, `/api/admin/confirm` | an admin command and its confirmation; only if the server was started with `admin` |
 */
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ConclaveError, limits } from '@conclave/protocol';
import { createAdaptorServer } from '@hono/node-server';
import { type Context, Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import type { ViewSource } from '../source/view-source.js';
import { onlyThisOrigin } from './access.js';
import { type Action, ConfirmedActions } from './confirmed-actions.js';
import type { KeyReader } from './key-reader.js';
import { findPage, readPage } from './page-files.js';
import { actionText, parseAction, parseConfirmation, parseControl } from './requests.js';
import { ViewHub } from './view-hub.js';
import { watchKey } from './watch-stream.js';

export interface ViewServerOptions {
  readonly source: ViewSource;
  readonly host: string;
  /** The port to listen on; 0: any free port. */
  readonly port: number;
  /** Host names with which browsers may open the page, in addition to `localhost` and IP addresses. */
  readonly hosts?: readonly string[] | undefined;
  /** The folder of the built page, if it is not where `findPage` looks. */
  readonly page?: string | undefined;
  /** Reads keys of a live group; undefined: the page shows no keys. */
  readonly keys?: KeyReader | undefined;
  /** Executes admin commands; undefined: the page is read-only. */
  readonly admin?: ((action: Action) => Promise<unknown>) | undefined;
}

export class ViewServer {
  private constructor(
    /** The address to open. */
    readonly url: string,
    private readonly server: Server,
    readonly hub: ViewHub,
    private readonly source: ViewSource,
  ) {}

  /** @throws ConclaveError EBUSY (not done) if another program uses the port; Error of the system if the address cannot be used */
  static async start(options: ViewServerOptions): Promise<ViewServer> {
    const { source, host, port } = options;
    const files = readPage(options.page ?? findPage());
    const abilities = { keys: options.keys !== undefined, admin: options.admin !== undefined };
    const hub = new ViewHub(source, abilities);
    const app = new Hono();
    app.use(onlyThisOrigin(options.hosts ?? []));
    app.onError((error, context) => errorReply(context, error));
    app.get('/api/stream', (context) => stream(context, hub));
    if (options.keys !== undefined) addKeys(app, options.keys);
    addControls(app, source);
    if (options.admin !== undefined) addAdmin(app, options.admin);
    app.get('*', (context) => {
      const file = files.get(context.req.path);
      if (file === undefined) return context.notFound();
      const { type, content, compressed } = file;
      if (!context.req.header('accept-encoding')?.includes('gzip')) {
        return context.body(content, 200, { 'Content-Type': type });
      }
      return context.body(compressed, 200, { 'Content-Type': type, 'Content-Encoding': 'gzip' });
    });
    const server = createAdaptorServer({ fetch: app.fetch }) as Server;
    try {
      await listen(server, host, port);
    } catch (error) {
      hub.close();
      // Its timers would keep the process running.
      await source.close();
      throw error;
    }
    const { port: bound } = server.address() as AddressInfo;
    const shown = host.includes(':') ? `[${host}]` : host;
    return new ViewServer(`http://${shown}:${bound}/`, server, hub, source);
  }

  async close(): Promise<void> {
    this.hub.close();
    const closed = new Promise((resolve) => this.server.close(resolve));
    this.server.closeAllConnections();
    await closed;
    await this.source.close();
  }
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const inUse = `${host}:${port} is used by another program: choose another port with --listen ${host}:<port>`;
      reject(error.code === 'EADDRINUSE' ? new ConclaveError('EBUSY', inUse) : error);
    });
    server.listen(port, host, () => resolve());
  });
}

function stream(context: Context, hub: ViewHub): Response {
  const body = hub.connect();
  if (body === undefined)
    throw new ConclaveError('EBUSY', `at most ${limits.viewBrowsers} browsers show this page at once`);
  return context.body(body, 200, { 'Content-Type': 'text/event-stream' });
}

function addKeys(app: Hono, keys: KeyReader): void {
  app.get('/api/keys', async ({ req, json }) => json(await keys.list(req.query('prefix') ?? '', req.query('after'))));
  app.get('/api/key', async ({ req, json }) => json({ found: (await keys.get(req.query('key') ?? '')) ?? null }));
  app.get('/api/leases', async ({ json }) => json({ leases: await keys.leases() }));
  app.get('/api/locks', async ({ json }) => json({ locks: await keys.locks() }));
  app.get('/api/watch', (context) => {
    const body = watchKey(keys, context.req.query('key') ?? '');
    return context.body(body, 200, { 'Content-Type': 'text/event-stream' });
  });
}

const withBodyLimit = bodyLimit({ maxSize: limits.viewRequestBytes });

function addControls(app: Hono, source: ViewSource): void {
  app.post('/api/control', withBodyLimit, async (context) => {
    if (source.controls === undefined)
      throw new ConclaveError('ENOENT', 'this source has no controls: only a recording or a simulation has');
    const { command, parameters } = parseControl(await body(context));
    await source.controls.run(command, parameters);
    return context.json({});
  });
}

function addAdmin(app: Hono, execute: (action: Action) => Promise<unknown>): void {
  const actions = new ConfirmedActions(execute);
  app.post('/api/admin/prepare', withBodyLimit, async (context) => {
    const action = parseAction(await body(context));
    return context.json({ token: actions.prepare(action), action, text: actionText(action) });
  });
  app.post('/api/admin/confirm', withBodyLimit, async (context) => {
    const { token, action } = parseConfirmation(await body(context));
    return context.json({ reply: (await actions.confirm(token, action)) ?? {} });
  });
}

/**
 * Returns the body of a request. It must be JSON: a web page of another origin cannot send this content type without a preflight
 * request, which this server does not permit.
 */
async function body({ req }: Context): Promise<unknown> {
  if (req.header('content-type') !== 'application/json') throw new ConclaveError('EINVAL', 'only JSON is accepted');
  try {
    return await req.json();
  } catch {
    throw new ConclaveError('EINVAL', 'the request is not JSON');
  }
}

function errorReply(context: Context, error: Error): Response {
  const status = { EPERM: 403, ENOENT: 404, EINVAL: 400 } as const;
  if (error instanceof ConclaveError) {
    const known = status[error.code as keyof typeof status] ?? 503;
    return context.json({ error: { code: error.code, message: error.message, outcome: error.outcome } }, known);
  }
  return context.json({ error: { code: 'EINVAL', message: error.message } }, 500);
}
