import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { send } from '@koa/send';
import type { Middleware } from 'koa';

/** Built by `npm run build`; from the source and from dist/ alike. */
const ROOTS = ['../../web/', '../../dist/web/'].map((path) => fileURLToPath(new URL(path, import.meta.url)));

/** Paths that belong to programs: an unknown one is an error, not the page. */
const API =
  /^\/(api|auth|oauth|v1|sync|connection|config|audit|health|metrics|dev|docs|\.well-known|socket\.io)(\/|$)|\.\w+$/;

/** Serves the page and its assets. Hashed assets are cached for a year, the page itself never. */
export function servePage(): Middleware {
  const root = ROOTS.find((path) => existsSync(`${path}/index.html`) && existsSync(`${path}/assets`));
  return async (ctx, next) => {
    await next();
    if (root === undefined || !['GET', 'HEAD'].includes(ctx.method)) return;
    if (ctx.status !== 404 || ctx.body !== undefined) return;
    const isAsset = /^\/assets\/[\w.-]+$/.test(ctx.path);
    const isPage = ctx.path === '/' || (ctx.get('Accept').includes('text/html') && !API.test(ctx.path));
    if (!isAsset && !isPage && !/^\/[\w-]+\.(svg|png|ico|txt|webmanifest)$/.test(ctx.path)) return;
    ctx.set('Cache-Control', isAsset ? 'public, max-age=31536000, immutable' : 'no-cache');
    await send(ctx, isPage ? 'index.html' : ctx.path, { root });
  };
}
