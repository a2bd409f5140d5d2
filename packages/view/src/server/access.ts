/** Decides which programs may read the page and send commands to it: those of this origin alone. */
import { isIP } from 'node:net';
import type { Context, MiddlewareHandler } from 'hono';

/** Nothing from elsewhere, nothing inline: markup in keys and values could do nothing even if it were not escaped. */
const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/**
 * Refuses requests that do not come from the page itself.
 *
 * A page of another origin could let its own name resolve to this address (DNS rebinding): then `Host` is that name. Only `localhost`
 * and addresses are accepted, which no stranger can redirect, and the names that are given.
 */
export function onlyThisOrigin(hosts: readonly string[]): MiddlewareHandler {
  return async (context, next) => {
    const reason = refusal(context, hosts);
    if (reason !== undefined) return context.json({ error: { code: 'EPERM', message: reason } }, 403);
    await next();
    const { headers } = context.res;
    headers.set('Content-Security-Policy', policy);
    headers.set('X-Content-Type-Options', 'nosniff');
    headers.set('Referrer-Policy', 'no-referrer');
    headers.set('Cross-Origin-Resource-Policy', 'same-origin');
    headers.set('Cross-Origin-Opener-Policy', 'same-origin');
    headers.set('Cache-Control', 'no-store');
    return undefined;
  };
}

function refusal({ req }: Context, hosts: readonly string[]): string | undefined {
  const host = req.header('host') ?? '';
  const name = host.replace(/:\d+$/, '').replace(/^\[|\]$/g, '');
  if (name !== 'localhost' && isIP(name) === 0 && !hosts.includes(name)) return `this page is not served as ${host}`;
  const origin = req.header('origin');
  if (origin !== undefined && origin !== `http://${host}`) return 'other origins may not use this page';
  const site = req.header('sec-fetch-site');
  const isNavigation = req.header('sec-fetch-mode') === 'navigate';
  if (site !== undefined && site !== 'same-origin' && site !== 'none' && !isNavigation) {
    return 'other origins may not use this page';
  }
  return undefined;
}
