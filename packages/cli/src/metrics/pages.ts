/** The pages of the HTTP servers: metrics, liveness and readiness. */
import { type Context, Hono } from 'hono';
import { contentType, render } from './exposition.js';
import type { LabelledSample } from './labelled.js';

/** One condition of a page of health. */
export interface Check {
  readonly name: string;
  /** Why it is not met; empty: it is. */
  readonly problem: string;
}

export interface Pages {
  metrics(): Promise<readonly LabelledSample[]> | readonly LabelledSample[];
  /** Whether the process works at all. A supervisor restarts one that does not, so it depends neither on NATS nor on others. */
  livez(): readonly Check[];
  /** Whether it can serve now. */
  readyz(): readonly Check[];
}

/** What a browser sees at `/`. */
const links =
  'Conclave\n\n/metrics            for Prometheus\n/livez?verbose      does the process work\n/readyz?verbose     can it serve now\n';

/** Returns the application of these pages. */
export function createPages(pages: Pages): Hono {
  const app = new Hono();
  app.use(async (context, next) => {
    if (context.req.method !== 'GET' && context.req.method !== 'HEAD') {
      return context.text('only GET and HEAD\n', 405, { Allow: 'GET, HEAD' });
    }
    await next();
    context.header('Cache-Control', 'no-store');
    context.header('X-Content-Type-Options', 'nosniff');
  });
  app.get('/', (context) => context.text(links));
  app.get('/metrics', async (context) => {
    const text = await render(await pages.metrics());
    return context.body(text, 200, { 'Content-Type': contentType });
  });
  app.get('/livez', (context) => healthPage(context, 'livez', pages.livez()));
  app.get('/readyz', (context) => healthPage(context, 'readyz', pages.readyz()));
  app.notFound((context) => context.text('there is no such page: see /\n', 404));
  app.onError((error, context) => context.text(`the page cannot be made: ${error.message}\n`, 500));
  return app;
}

/** Like Kubernetes's own: `ok`, or with `?verbose` or on failure all checks. */
function healthPage(context: Context, name: string, checks: readonly Check[]): Response {
  const isHealthy = checks.every(({ problem }) => problem === '');
  if (isHealthy && context.req.query('verbose') === undefined) return context.text('ok\n');
  const lines = checks.map((check) =>
    check.problem === '' ? `[+] ${check.name}: ok` : `[-] ${check.name}: ${check.problem}`,
  );
  const result = `${name} check ${isHealthy ? 'passed' : 'failed'}`;
  return context.text(`${[...lines, result].join('\n')}\n`, isHealthy ? 200 : 503);
}
