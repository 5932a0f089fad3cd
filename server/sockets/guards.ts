import type { IncomingMessage } from 'node:http';
import { AppError } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { callerAddress, forwardedIn } from '../auth/addresses.ts';
import type { ShownProof } from '../auth/dpop.ts';
import type { LiveSockets } from '../auth/live-sockets.ts';
import type { Presented } from '../auth/possession.ts';
import type { Principal } from '../auth/principal.ts';

/** What guards every socket, whichever namespace: where it comes from, how fast it may talk, when its token ends. */

/** What the sockets need of identity. */
export interface Doorkeeper {
  /** Validates an access token. Throws AppError `invalid_token`, `token_expired` or `revoked`. */
  authenticate(token: string, from?: Presented): Promise<Principal>;
  /** The URL a DPoP proof of a socket is about; left out: none is taken. */
  core?: { baseUrl(): string };
  /** The principal with the rights it has now. Throws AppError `revoked` when it has none any more. */
  current(principal: Principal): Promise<Principal>;
  sockets: LiveSockets;
}

/** What is shown beside a socket's token: a proof about its handshake, `GET <base>/socket.io/` (RFC 9449). */
export function presentedBy(
  identity: Pick<Doorkeeper, 'core'>,
  ip: string,
  proof: unknown,
): { ip: string; dpop?: ShownProof } {
  const base = identity.core?.baseUrl();
  if (typeof proof !== 'string' || base === undefined) return { ip };
  return { ip, dpop: { proof, htm: 'GET', htu: `${base.replace(/\/$/, '')}/socket.io/` } };
}

interface Handshake {
  address: string;
  headers: IncomingMessage['headers'];
}

/** The caller's address; what a proxy says counts only when proxies are trusted. */
export function clientAddress(handshake: Handshake, trustProxy: boolean): string {
  return callerAddress(handshake.address, trustProxy ? forwardedIn(handshake) : undefined);
}

export interface Pace {
  take(cost?: number): boolean;
}

/** How often a socket may show a new token, in either namespace. */
export const REFRESH_PACE = { perSecond: 1, burst: 5 };

/** Throws AppError `rate_limited` when one more event is not within the pace. */
export function requirePace(pace: Pace, retryAfterMs: number): void {
  if (!pace.take()) throw new AppError('rate_limited', { retryAfterMs });
}

/** A token bucket: `take()` says whether one more event, or `cost` of them, is within the pace. */
export function createPace(options: { perSecond: number; burst: number; now?: () => number }): Pace {
  const now = options.now ?? (() => performance.now());
  let tokens = options.burst;
  let last = now();
  return {
    take(cost = 1) {
      const at = now();
      tokens = Math.min(options.burst, tokens + ((at - last) / 1_000) * options.perSecond);
      last = at;
      if (tokens < cost) return false;
      tokens -= cost;
      return true;
    },
  };
}

/** Warns this long before a token expires, so that `auth:refresh` can come in time. */
const WARN_BEFORE_MS = 60_000;
/** setTimeout counts in 32 bits. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** Watches a socket's token: `expiring` a minute before its end (at once when it is nearer), `expired` 30 s after it. */
export function watchExpiry(
  expiresAt: number,
  on: { expiring: (at: string) => void; expired: () => void },
): { extend(expiresAt: number): void; stop(): void } {
  let alarms: (() => void)[] = [];
  const stop = (): void => alarms.forEach((turnOff) => turnOff());
  const extend = (until: number): void => {
    stop();
    const left = until - Date.now();
    const warning = until - Math.min(WARN_BEFORE_MS, Math.max(left / 2, 0));
    alarms = [
      setAlarm(warning, () => on.expiring(new Date(until).toISOString())),
      setAlarm(until + LIMITS.expiryGraceSeconds * 1_000, on.expired),
    ];
  };
  extend(expiresAt);
  return { extend, stop };
}

/** Rings at a time, however far away. Returns how to turn it off. */
function setAlarm(at: number, ring: () => void): () => void {
  let timer: NodeJS.Timeout;
  const wait = (): void => {
    const left = at - Date.now();
    timer = left > MAX_TIMER_MS ? setTimeout(wait, MAX_TIMER_MS) : setTimeout(ring, Math.max(left, 0));
  };
  wait();
  return () => clearTimeout(timer);
}
